import type { Command } from 'commander';
import { parseCheckpoint } from '../fleet/log/checkpoint.ts';
import { parseNote } from '../fleet/log/note.ts';
import { isSigned } from '../fleet/log/note-signature.ts';
import type { LogPolicy } from '../fleet/log/policy.ts';
import { tilePath, tilesOf } from '../fleet/log/tile.ts';
import type { RememberedCheckpoint } from '../fleet/verify/bundle.ts';
import { Checklist } from '../fleet/verify/checks.ts';
import { checkCheckpoint, checkLog } from '../fleet/verify/log-audit.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { checkResult } from './check-result.ts';
import { fetchFiles, read } from './log-files.ts';
import { type LogOptions, logCommand, policyOf } from './log-options.ts';
import { fetchCheckpoint } from './log-verify.ts';
import type { Output } from './output.ts';

export const logAuditCommand = (output: Output): Command =>
  logCommand('audit')
    .description('verify all that a log holds: checkpoint, tree, tiles, and the rules for each statement')
    .option('--since <file>', 'an older checkpoint of the log, which it must continue')
    .action(async (url: string, options: LogOptions & { readonly since?: string }) => {
      const policy = policyOf(options);
      const remembered = options.since === undefined ? undefined : readRemembered(options.since, policy);
      const list = new Checklist();
      output.step('asking for the checkpoint');
      const checkpoint = checkCheckpoint(list, await fetchCheckpoint(url), policy, Date.now());
      output.step('asking for every entry');
      const files = checkpoint && (await fetchFiles(url, tilesOf(checkpoint.size).map(tilePath)));
      const statements = files && checkLog(list, files, checkpoint, remembered);
      checkResult(
        output,
        list.checks,
        {
          log: policy.logKey.name,
          size: checkpoint?.size ?? null,
          statements: statements?.map(({ fleet, epoch, hash }) => ({ fleet, epoch, hash: toHex(hash) })) ?? null,
        },
        `The log ${policy.logKey.name} holds what it signed, and nothing else.`,
      );
    });

/** A file that holds a checkpoint. It may be old: that the log signed it is all that matters. */
function readRemembered(file: string, { logKey }: LogPolicy): RememberedCheckpoint {
  try {
    const note = parseNote(read(file));
    if (isSigned(note, logKey)) return parseCheckpoint(note.text);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `${file} is no checkpoint: ${(cause as Error).message}`, { cause });
  }
  throw new VaultError('CONFIG_INVALID', `${file} is not signed by ${logKey.name}.`);
}
