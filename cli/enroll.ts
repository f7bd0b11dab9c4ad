import { Command } from 'commander';
import { generateCode } from '../client/code-generator.ts';
import type { EnrolmentResult } from '../client/enrolment.ts';
import { makeBackupKey } from '../client/random-secret.ts';
import type { Millis } from '../primitives/brand.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { integer } from './arguments.ts';
import { readKeyFile, withNewKeyFile } from './key-file.ts';
import { steps, withVault } from './open-vault.ts';
import type { Output } from './output.ts';
import { patiently } from './patience.ts';
import { readCode } from './read-code.ts';

interface Options {
  readonly key?: string;
  readonly newKey?: string;
  readonly codeFile?: string;
  readonly generateCode?: true;
  readonly limit: number;
  readonly coolDown: number;
  readonly hold: number;
  readonly allowFewerHolders?: true;
}

export const enrollCommand = (output: Output): Command =>
  new Command('enroll')
    .description('put a backup key into the vault under a recovery code')
    .argument('<record>', "the account's pseudonym at its backup service")
    .option('--key <file>', 'the backup key: 32 random bytes')
    .option('--new-key <file>', 'make a backup key of 32 bytes and write it there')
    .option('--code-file <file>', 'the code, one line; - is standard input (default: ask for it)')
    .option('--generate-code', 'make a code and show it')
    .option('--limit <n>', 'wrong codes until the record is gone', integer, 10)
    .option('--cool-down <seconds>', 'between two attempts', integer, 0)
    .option('--hold <hours>', 'how long a recovery with the right code waits, and can be vetoed by whoever has the backup key', integer, 0)
    .option('--allow-fewer-holders', 'replace a record although fewer replicas would hold it than do now')
    .action((recordId: string, options: Options, command: Command) => enroll(recordId, options, command, output));

async function enroll(recordId: string, options: Options, command: Command, output: Output): Promise<void> {
  if ((options.key === undefined) === (options.newKey === undefined)) throw usage('Give either --key or --new-key.');
  if (options.generateCode && options.codeFile !== undefined) throw usage('Give either --code-file or --generate-code.');
  const generated = options.generateCode ? generateCode() : undefined;
  const code = generated ?? (await readCode(options.codeFile, true));

  const store = (backupKey: SecretBytes) =>
    withVault(command, async (vault) => {
      const enrolment = await vault.beginEnrolment({
        recordId,
        code,
        backupKey,
        policy: { limit: options.limit, coolDownMs: options.coolDown * 1000, holdMs: options.hold * HOUR },
        allowFewerHolders: options.allowFewerHolders ?? false,
        progress: (step) => output.step(steps[step]),
      });
      output.step(steps.storing);
      return patiently(() => enrolment.finish());
    });
  const enrolled = await (options.newKey === undefined ? store(readKeyFile(options.key as string)) : storeNewKey(options.newKey, store));
  const { g, drained: _none, ...result } = enrolled;
  output.result(
    { record: recordId, generation: toHex(g), ...result, ...(generated === undefined ? {} : { code: generated }) },
    inWords(recordId, result, generated, options.hold),
  );
}

/** The key is on disk before it is in the vault: a backup that is encrypted with it must not depend on a reply. */
function storeNewKey(file: string, store: (key: SecretBytes) => Promise<EnrolmentResult>): Promise<EnrolmentResult> {
  return withNewKeyFile(file, (write) => {
    const key = makeBackupKey();
    write(key.expose());
    return store(key);
  });
}

function inWords(
  recordId: string,
  { holders, replicas, threshold }: Omit<EnrolmentResult, 'g' | 'drained'>,
  code: string | undefined,
  hold: number,
): string {
  const lines = [`${recordId} is enrolled: ${holders.length} of ${replicas} replicas hold a share, ${threshold} are needed.`];
  if (holders.length < replicas) lines.push('Enrol again once all replicas are back, so that all of them hold one.');
  if (hold > 0)
    lines.push(
      `A recovery waits ${hold} hours. Whoever has lost the only device waits all of them, and cannot veto what somebody else begins.`,
    );
  if (code !== undefined) lines.push(`The recovery code, to write down: ${code}`);
  return lines.join('\n');
}

const HOUR: Millis = 60 * 60 * 1000;

const usage = (message: string) => new VaultError('MALFORMED', message);
