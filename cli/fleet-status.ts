import Table from 'cli-table3';
import { Command } from 'commander';
import { type Trust, trustIn } from '../client/trust.ts';
import type { TrustMemory, TrustPolicy } from '../client/trust-policy.ts';
import { type ClientFile, loadClientFile } from '../fleet/client-file.ts';
import { probeReplica, type ReplicaAnswer } from '../fleet/replica-probe.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import type { Statement } from '../protocol/statement.ts';
import { clientFileOf, policyOf } from './open-vault.ts';
import type { Output } from './output.ts';

export const fleetStatusCommand = (output: Output): Command =>
  new Command('status')
    .description('ask each replica whether it serves, and under which statement; fails when fewer than the threshold serve')
    .action((_options: unknown, command: Command) => status(loadClientFile(clientFileOf(command)), output));

interface Row {
  readonly replica: string;
  readonly address: string;
  readonly health: string;
  readonly epoch: number | undefined;
  readonly statement: 'trusted' | 'NOT TRUSTED' | 'unknown';
  readonly problem: string | undefined;
}

async function status(client: ClientFile, output: Output): Promise<void> {
  output.step(`asking ${client.addresses.length} replicas`);
  const { policy, treeSize } = await lookingOnly(policyOf(client));
  const trust = trustIn(policy);
  const answers = await Promise.all(client.addresses.map((address) => probeReplica(address, client.tls, treeSize)));
  const rows: Row[] = [];
  let trusted: Statement | undefined;
  for (const answer of answers) {
    const { row, statement } = await judge(answer, trust, client.fleet);
    trusted ??= statement;
    rows.push(row);
  }
  const serving = rows.filter((row) => row.health === 'SERVING' && row.statement === 'trusted').length;
  const threshold = trusted?.threshold;
  output.result(
    { fleet: client.fleet, epoch: trusted?.epoch, threshold, serving, replicas: rows },
    [render(rows), summary(client.fleet, serving, client.addresses.length, threshold)].join('\n'),
    verdict(rows, serving, threshold),
  );
}

function verdict(rows: readonly Row[], serving: number, threshold: number | undefined): VaultError | undefined {
  if (rows.some((row) => row.statement === 'NOT TRUSTED'))
    return new VaultError('FLEET_UNTRUSTED', 'A replica serves under a statement that the client file does not trust.');
  if (threshold !== undefined && serving >= threshold) return undefined;
  return new VaultError('NOT_ENOUGH_REPLICAS', 'Too few replicas serve.', {
    details: { replicasAnswered: serving, ...(threshold === undefined ? {} : { replicasNeeded: threshold }) },
  });
}

/** Each replica is judged by what was seen before, not by what the one before it said; and whoever only looks learns nothing. */
async function lookingOnly(policy: TrustPolicy): Promise<{ policy: TrustPolicy; treeSize: number }> {
  if (policy.kind === 'pinned') return { policy, treeSize: 0 };
  const remembered = await policy.memory.load();
  const memory: TrustMemory = { load: async () => remembered, save: async () => {} };
  return { policy: { ...policy, memory }, treeSize: remembered?.checkpoint.size ?? 0 };
}

interface Judged {
  readonly row: Row;
  /** Only where it is trusted. */
  readonly statement?: Statement;
}

async function judge(answer: ReplicaAnswer, trust: Trust, fleet: string): Promise<Judged> {
  const { address, health, problem, identity, fleet: reply } = answer;
  const row = { replica: identity?.replace(/^bkv:\/\/fleet\//, '') ?? '?', address, health };
  if (!reply) return { row: { ...row, epoch: undefined, statement: 'unknown', problem } };
  try {
    const { statement } = await trust.believe({ fleet, said: undefined, ask: async () => reply, now: Date.now() });
    return { row: { ...row, epoch: statement.epoch, statement: 'trusted', problem }, statement };
  } catch (error) {
    if (!isVaultError(error, 'FLEET_UNTRUSTED')) throw error;
    return { row: { ...row, epoch: undefined, statement: 'NOT TRUSTED', problem: problem ?? error.message } };
  }
}

function render(rows: readonly Row[]): string {
  const table = new Table({ head: ['replica', 'address', 'health', 'epoch', 'statement', ''], style: { head: [], border: [] } });
  for (const row of rows) table.push([row.replica, row.address, row.health, row.epoch ?? '', row.statement, row.problem ?? '']);
  return table.toString();
}

function summary(fleet: string, serving: number, count: number, threshold: number | undefined): string {
  if (threshold === undefined) return `No replica of "${fleet}" answers with a trusted statement.`;
  return `${serving} of ${count} replicas of "${fleet}" serve, ${threshold} are needed.`;
}
