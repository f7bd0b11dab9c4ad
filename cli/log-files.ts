import pLimit from 'p-limit';
import { readUpTo } from '../fleet/log/read-up-to.ts';
import { BUNDLE_BYTES_MOST } from '../fleet/log/tile.ts';
import { refuse } from '../fleet/verify/checks.ts';
import type { Millis } from '../primitives/brand.ts';
import { systemClock } from '../primitives/clock.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import { type RetryPolicy, retry } from '../primitives/retry.ts';

const DEADLINE: Millis = 10_000;
const AT_ONCE = 8;
/** Of all files together. */
const BYTES_MOST = 1 << 28;

/** Servers close connections that rest, and a request may be on its way then. */
const retries: RetryPolicy = { pauses: [100], again: (error) => isVaultError(error, 'LOG_UNAVAILABLE') };

/** One file of a log over HTTP; cut off where it is longer than any such file, so that no parser takes it. Undefined where there is none; throws LOG_UNAVAILABLE. */
export const fetchFile = (log: string, path: string): Promise<Uint8Array | undefined> =>
  retry(() => fetchOnce(log, path), retries, systemClock);

async function fetchOnce(log: string, path: string): Promise<Uint8Array | undefined> {
  const url = `${log.replace(/\/+$/, '')}/${path}`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DEADLINE) });
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await readUpTo(response, BUNDLE_BYTES_MOST);
  } catch (cause) {
    const { message, cause: deeper } = cause as Error;
    throw new VaultError('LOG_UNAVAILABLE', `${url} does not answer: ${deeper instanceof Error ? deeper.message : message}.`, { cause });
  }
}

/** Those of the files that are there. Throws FLEET_UNTRUSTED when they are more than anybody should read. */
export async function fetchFiles(log: string, paths: readonly string[]): Promise<Map<string, Uint8Array>> {
  const limit = pLimit(AT_ONCE);
  let length = 0;
  const files = await Promise.all(
    paths.map((path) =>
      limit(async () => {
        if (length > BYTES_MOST) throw refuse('tree-mismatch', `The log answers more than ${BYTES_MOST} bytes.`);
        const file = await fetchFile(log, path);
        length += file?.length ?? 0;
        return [path, file] as const;
      }),
    ),
  );
  return new Map(files.filter((file): file is [string, Uint8Array] => file[1] !== undefined));
}
