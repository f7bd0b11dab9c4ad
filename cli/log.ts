import { Command, InvalidArgumentError } from 'commander';
import { parseCheckpoint } from '../fleet/log/checkpoint.ts';
import { parseNote } from '../fleet/log/note.ts';
import { isSigned } from '../fleet/log/note-signature.ts';
import { type LogPolicy, parseLogTrust, type TrustedCheckpoint } from '../fleet/log/policy.ts';
import { formatProof } from '../fleet/log/proof.ts';
import { entryBundlesOf, tilePath, tilesOf } from '../fleet/log/tile.ts';
import { makeInclusionProof } from '../fleet/log/tree.ts';
import type { RememberedCheckpoint } from '../fleet/verify/bundle.ts';
import { Checklist, refuse } from '../fleet/verify/checks.ts';
import { operatorAuthorities } from '../fleet/verify/in-force.ts';
import { checkCheckpoint, checkLog, checkTree } from '../fleet/verify/log-audit.ts';
import { toSeconds } from '../fleet/verify/newest.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import type { Millis } from '../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../primitives/bytes.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import { integer, readInput } from './arguments.ts';
import { checkResult } from './check-result.ts';
import { fetchFile, fetchFiles } from './log-files.ts';
import type { Output } from './output.ts';

interface FleetCa {
  readonly fleet: string;
  readonly ca: string;
}

interface LogOptions {
  readonly policy: string;
  readonly ageMost: number;
}

const HOUR: Millis = 3600 * 1000;

/** What each command must be told to believe a checkpoint. */
const logCommand = (name: string): Command =>
  new Command(name)
    .argument('<url>', 'where the log is served', url)
    .requiredOption('--policy <file>', 'log-policy.txt, known from elsewhere: the log, other witnesses, and which must have cosigned')
    .option('--age-most <hours>', 'how old the checkpoint, and each cosignature that counts, may be', integer, 24 * 7);

export const logVerifyCommand = (output: Output): Command =>
  logCommand('verify')
    .description("verify a log's checkpoint: signature, age, cosignatures")
    .action(async (url: string, options: LogOptions) => {
      const policy = policyOf(options);
      const { list, checkpoint } = await askForCheckpoint(url, policy, output);
      checkResult(
        output,
        list.checks,
        { log: policy.logKey.name, size: checkpoint?.size ?? null },
        `The checkpoint of ${policy.logKey.name} holds.`,
      );
    });

export const logAuditCommand = (output: Output): Command =>
  logCommand('audit')
    .description('verify all that a log holds: checkpoint, tree, tiles, and the rules for each statement')
    .option('--since <file>', 'an older checkpoint of the log, which it must continue')
    .option(
      '--operator-ca <fleet=file>',
      'the authority of the operator of a fleet that the log puts in force; may be given again',
      ofFleet,
      [],
    )
    .action(async (url: string, options: LogOptions & { readonly since?: string; readonly operatorCa: FleetCa[] }) => {
      const policy = policyOf(options);
      const operators = operatorAuthorities(options.operatorCa.map(({ fleet, ca }) => ({ fleet, pem: readInput(ca).toString('utf8') })));
      const remembered = options.since === undefined ? undefined : readRemembered(options.since, policy);
      const { list, checkpoint } = await askForCheckpoint(url, policy, output);
      output.step('asking for every entry');
      const files = checkpoint && (await fetchFiles(url, tilesOf(checkpoint.size).map(tilePath)));
      const audited = files && checkLog(list, files, checkpoint, remembered, operators);
      checkResult(
        output,
        list.checks,
        {
          log: policy.logKey.name,
          size: checkpoint?.size ?? null,
          statements: audited?.statements.map(({ fleet, epoch, hash }) => ({ fleet, epoch, hash: toHex(hash) })) ?? null,
          newest: audited?.newest.map(({ refuseOlderFrom, ...one }) => ({ ...one, refuse_older_from: toSeconds(refuseOlderFrom) })) ?? null,
        },
        `The log ${policy.logKey.name} holds what it signed, and nothing else.`,
      );
    });

/** A proof ages with its checkpoint, and everything that makes a new one is public: nobody has to ask the witness. */
export const logProveCommand = (output: Output): Command =>
  logCommand('prove')
    .description('make a fresh proof that a log holds a statement, from what the log serves')
    .requiredOption('--statement <file>', 'the statement')
    .requiredOption('--out <file>', 'where the proof goes; it is replaced')
    .action(async (url: string, options: LogOptions & { readonly statement: string; readonly out: string }) => {
      const policy = policyOf(options);
      const statement = readInput(options.statement);
      const { list, bytes, checkpoint } = await askForCheckpoint(url, policy, output);
      output.step('asking for every entry');
      const files = checkpoint && (await fetchFiles(url, entryBundlesOf(checkpoint.size).map(tilePath)));
      const tree = files && checkTree(list, files, checkpoint);
      const proof = list.run('inclusion', 'It holds the statement', [tree], ({ entries, leaves }) => {
        const index = entries.findIndex((entry) => constantTimeEqual(entry, statement));
        if (index < 0) throw refuse('inclusion-proof', `It has ${entries.length} entries, and none is this statement.`);
        return [{ index, hashes: makeInclusionProof(index, leaves), note: parseNote(bytes) }, `It is entry ${index}.`];
      });
      if (proof) writeDurably(options.out, formatProof(proof));
      checkResult(output, list.checks, { log: policy.logKey.name, index: proof?.index ?? null }, `Wrote ${options.out}.`);
    });

interface Asked {
  readonly list: Checklist;
  /** As the log answered. */
  readonly bytes: Uint8Array;
  /** Undefined where a check of `list` fails. */
  readonly checkpoint: TrustedCheckpoint | undefined;
}

async function askForCheckpoint(url: string, policy: LogPolicy, output: Output): Promise<Asked> {
  output.step('asking for the checkpoint');
  const bytes = await fetchFile(url, 'checkpoint');
  if (bytes === undefined) throw new VaultError('LOG_UNAVAILABLE', `There is no checkpoint at ${url}: is it a log?`);
  const list = new Checklist();
  return { list, bytes, checkpoint: checkCheckpoint(list, bytes, policy, Date.now()) };
}

function policyOf({ policy, ageMost }: LogOptions): LogPolicy {
  const bytes = readInput(policy);
  try {
    return { ...parseLogTrust(bytes), checkpointAgeMost: ageMost * HOUR };
  } catch (cause) {
    throw isVaultError(cause) ? new VaultError('CONFIG_INVALID', `${policy}: ${cause.message}`, { cause }) : cause;
  }
}

/** A file that holds a checkpoint. It may be old: that the log signed it is all that matters. */
function readRemembered(file: string, { logKey }: LogPolicy): RememberedCheckpoint {
  try {
    const note = parseNote(readInput(file));
    if (isSigned(note, logKey)) return parseCheckpoint(note.text);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `${file} is no checkpoint: ${(cause as Error).message}`, { cause });
  }
  throw new VaultError('CONFIG_INVALID', `${file} is not signed by ${logKey.name}.`);
}

function ofFleet(value: string, before: readonly FleetCa[]): FleetCa[] {
  const [, fleet, ca] = /^([^=]+)=(.+)$/.exec(value) ?? [];
  if (fleet === undefined || ca === undefined) throw new InvalidArgumentError('It must be fleet=file, as west=operator-ca.pem.');
  return [...before, { fleet, ca }];
}

function url(value: string): string {
  if (!/^https?:\/\/[^\s]+$/.test(value)) throw new InvalidArgumentError('It must be http://… or https://….');
  return value;
}
