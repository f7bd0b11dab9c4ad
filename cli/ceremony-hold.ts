import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { precheck, requireAll } from '../fleet/ceremony/checks.ts';
import { holdCeremony } from '../fleet/ceremony/hold.ts';
import { type LoadedPlan, loadPlan } from '../fleet/ceremony/load-plan.ts';
import { roomScript, wordLines } from '../fleet/ceremony/script.ts';
import { hexHash } from '../fleet/verify/files.ts';
import type { PlannedReplica } from '../fleet/verify/plan.ts';
import { hashWords } from '../fleet/verify/words.ts';
import { toHex } from '../primitives/bytes.ts';
import { systemClock } from '../primitives/clock.ts';
import { VaultError } from '../primitives/errors.ts';
import type { Output } from './output.ts';
import { readTokenInChild } from './provision-in-child.ts';

interface Options {
  readonly out?: string;
  readonly dryRun?: true;
  readonly script?: true;
}

export const ceremonyHoldCommand = (output: Output): Command =>
  new Command('hold')
    .description('make keys in tokens, statement and transcript from one plan; nothing is typed in and nothing is overwritten')
    .argument('<plan>', 'YAML; docs/AUDIT.md describes it')
    .option('--out <directory>', 'where the evidence goes; must not exist')
    .option('--dry-run', 'check everything that can be checked, say what would be done, make nothing')
    .option('--script', 'print the script for the room, make nothing')
    .action((plan: string, options: Options) => hold(loadPlan(plan), options, output));

async function hold(loaded: LoadedPlan, options: Options, output: Output): Promise<void> {
  const plan_hash = hexHash(loaded.bytes);
  if (options.script) return output.result({ plan_hash, script: roomScript(loaded) }, roomScript(loaded));
  if (options.out === undefined) throw new VaultError('CONFIG_INVALID', 'Say where the evidence goes: --out DIRECTORY.');
  const directory = resolve(options.out);
  const checks = precheck(loaded, {
    directory,
    now: systemClock.now(),
    checkReplica: (replica, index) => checkReplica(loaded, replica, index),
  });
  if (options.dryRun) return dryRun(loaded, checks, output);
  requireAll(checks);
  const { statement, transcript } = await holdCeremony({
    ...{ loaded, directory, clock: systemClock },
    readToken: (replica) => readTokenInChild(tokenCommand(loaded, replica), environmentOf(loaded, replica)),
    progress: (step) => output.step(step),
  });
  const hash = toHex(statement.hash);
  output.result(
    {
      directory,
      plan_hash,
      statement_hash: hash,
      statement_words: hashWords(hash),
      transcript_hash: transcript,
      transcript_words: hashWords(transcript),
    },
    [
      `The statement of epoch ${statement.epoch} of ${statement.fleet} is in ${directory}. Read aloud, and compare:`,
      `Statement   ${hash}`,
      wordLines(hash),
      `Transcript  ${transcript}`,
      wordLines(transcript),
      'Now each participant: bkvctl ceremony sign. Then the witness, and bkvctl ceremony seal.',
    ].join('\n'),
  );
}

function dryRun({ plan, bytes }: LoadedPlan, checks: ReturnType<typeof precheck>, output: Output): void {
  const hash = hexHash(bytes);
  const failed = checks.filter(({ problem }) => problem !== undefined).length;
  const text = [
    `Plan        ${hash}`,
    wordLines(hash),
    ...checks.map(({ title, problem }) => (problem === undefined ? `ok    ${title}` : `FAIL  ${title}: ${problem}`)),
    '',
    ...plan.replicas.map(({ name, keys }) => `would ${wouldDo[keys]} keys of ${name} and read their attributes back`),
    `would write the statement of epoch ${plan.epoch} and wait for the signatures of ${plan.participants.map(({ name }) => name).join(', ')}`,
    'Nothing was made.',
  ].join('\n');
  const verdict =
    failed > 0 ? new VaultError('CONFIG_INVALID', `${failed} of ${checks.length} checks before the ceremony fail.`) : undefined;
  output.result({ plan_hash: hash, plan_words: hashWords(hash), checks }, text, verdict);
}

const wouldDo = { make: 'make the', keep: 'read the', rotate: 'make new' } as const satisfies Record<PlannedReplica['keys'], string>;

/** Whether the daemon's configuration is there, is this replica's, and names a PIN that can be read. */
function checkReplica(loaded: LoadedPlan, replica: PlannedReplica, index: number): void {
  const config = loadConfig(loaded.path(replica.config));
  if (config.replica !== index) throw new VaultError('CONFIG_INVALID', `its configuration is of replica ${config.replica}`);
  accessSync(config.token.pin_file, constants.R_OK);
}

/** The command of bkvctl that makes or reads the replica's keys. */
function tokenCommand({ plan, path }: LoadedPlan, replica: PlannedReplica): string[] {
  const where = ['--config', path(replica.config), '--epoch', String(plan.epoch)];
  switch (replica.keys) {
    case 'make':
      return [
        ...['replica', 'provision', ...where, '--fleet', plan.fleet, '--guard-incarnation', String(replica.guard_incarnation)],
        ...(replica.initialise ? ['--init-token', '--so-pin-file', path(replica.so_pin_file as string)] : []), // checks.ts looked
      ];
    case 'rotate':
      return ['keys', 'rotate', ...where];
    case 'keep':
      return ['replica', 'provision', ...where, '--fleet', plan.fleet, '--keep-keys'];
  }
}

const environmentOf = ({ path }: LoadedPlan, { module_configuration: file }: PlannedReplica): Record<string, string> =>
  file ? { [file.variable]: path(file.file) } : {};
