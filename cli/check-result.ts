import type { CheckCode } from '../fleet/verify/check-codes.ts';
import type { Check } from '../fleet/verify/checks.ts';
import { VaultError } from '../primitives/errors.ts';
import { checkExitCodes } from './check-exit-codes.ts';
import type { Output } from './output.ts';

/** A verification's one result: every check with what it found. The exit code is that of the first that fails (check-exit-codes.ts). */
export function checkResult(output: Output, checks: readonly Check[], document: Readonly<Record<string, unknown>>, summary: string): void {
  const failed = checks.find(({ code }) => code !== null);
  const code = failed?.code as CheckCode | undefined;
  output.result(
    { ...document, ok: code === undefined, checks },
    [...checks.map(line), ...(code === undefined ? ['', summary] : [])].join('\n'),
    code &&
      new VaultError('FLEET_UNTRUSTED', `The check "${failed?.name}" fails (${code}): ${failed?.detail}`, { details: { check: code } }),
  );
  if (code !== undefined) output.exitCode = checkExitCodes[code];
}

const line = ({ ok, code, title, detail }: Check): string =>
  `${ok ? 'ok     ' : code === null ? '-      ' : 'FAILED '} ${title}. ${detail}`;
