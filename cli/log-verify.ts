import type { Command } from 'commander';
import { Checklist } from '../fleet/verify/checks.ts';
import { checkCheckpoint } from '../fleet/verify/log-audit.ts';
import { VaultError } from '../primitives/errors.ts';
import { checkResult } from './check-result.ts';
import { fetchFile } from './log-files.ts';
import { type LogOptions, logCommand, policyOf } from './log-options.ts';
import type { Output } from './output.ts';

export const logVerifyCommand = (output: Output): Command =>
  logCommand('verify')
    .description("verify a log's checkpoint: signature, age, cosignatures")
    .action(async (url: string, options: LogOptions) => {
      const policy = policyOf(options);
      output.step('asking for the checkpoint');
      const list = new Checklist();
      const checkpoint = checkCheckpoint(list, await fetchCheckpoint(url), policy, Date.now());
      checkResult(
        output,
        list.checks,
        { log: policy.logKey.name, size: checkpoint?.size ?? null },
        `The checkpoint of ${policy.logKey.name} holds.`,
      );
    });

export async function fetchCheckpoint(url: string): Promise<Uint8Array> {
  const checkpoint = await fetchFile(url, 'checkpoint');
  if (checkpoint === undefined) throw new VaultError('LOG_UNAVAILABLE', `There is no checkpoint at ${url}: is it a log?`);
  return checkpoint;
}
