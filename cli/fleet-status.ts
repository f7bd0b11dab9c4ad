import Table from 'cli-table3';
import { Command } from 'commander';
import { type ClientFile, loadClientFile } from '../fleet/client-file.ts';
import { probeReplica, type ReplicaAnswer } from '../fleet/replica-probe.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { parseStatement, type Statement } from '../protocol/statement.ts';
import { clientFileOf } from './open-vault.ts';
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
  const answers = await Promise.all(client.addresses.map((address) => probeReplica(address, client.tls)));
  const rows = answers.map((answer) => toRow(answer, client));
  const trusted = answers.map((answer) => trustedStatement(answer, client)).find((statement) => statement !== undefined);
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
    return new VaultError('FLEET_UNTRUSTED', 'A replica serves under a statement that is not pinned in the client file.');
  if (threshold !== undefined && serving >= threshold) return undefined;
  return new VaultError('NOT_ENOUGH_REPLICAS', 'Too few replicas serve.', {
    details: { replicasAnswered: serving, ...(threshold === undefined ? {} : { replicasNeeded: threshold }) },
  });
}

function trustedStatement({ statement }: ReplicaAnswer, client: ClientFile): Statement | undefined {
  if (!statement) return undefined;
  try {
    const parsed = parseStatement(statement);
    return client.statement_hashes.includes(toHex(parsed.hash)) ? parsed : undefined;
  } catch {
    return undefined; // the row says that it is not trusted
  }
}

function toRow(answer: ReplicaAnswer, client: ClientFile): Row {
  const statement = trustedStatement(answer, client);
  return {
    replica: answer.identity?.replace(/^bkv:\/\/fleet\//, '') ?? '?',
    address: answer.address,
    health: answer.health,
    epoch: statement?.epoch,
    statement: statement ? 'trusted' : answer.statement ? 'NOT TRUSTED' : 'unknown',
    problem: answer.problem,
  };
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
