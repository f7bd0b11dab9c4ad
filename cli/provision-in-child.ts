import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeSoftHsmDirectory } from '../daemon/token/softhsm-directory.ts';
import type { ReplicaPlace } from '../fleet/produce/fleet-plan.ts';
import { type Provisioned, provisionedSchema } from '../fleet/produce/statement.ts';
import { type ErrorCode, errorCodes, VaultError } from '../primitives/errors.ts';
import { packageRoot } from '../primitives/package-root.ts';

/**
 * Makes a replica's SoftHSM2 token, keys and guard, by `bkvctl replica provision` in a process of its own: the library reads
 * SOFTHSM2_CONF once in the life of a process.
 */
export async function provisionInChild({ fleet, directory, config, soPinFile }: ReplicaPlace): Promise<Provisioned> {
  const softHsmConf = makeSoftHsmDirectory(directory, join(packageRoot, 'softhsm/softhsm2.conf'));
  const program = join(packageRoot, 'dist/cli/main.js');
  const args = ['replica', 'provision', '--json', '--init-token', '--fleet', fleet, '--config', config, '--so-pin-file', soPinFile];
  const child = promisify(execFile)(process.execPath, [program, ...args], { env: { ...process.env, SOFTHSM2_CONF: softHsmConf } });
  try {
    return provisionedSchema.parse(JSON.parse((await child).stdout));
  } catch (cause) {
    throw errorOfChild(cause as Error & { stdout?: string });
  }
}

/** The child says in JSON what went wrong; anything else is a fault of ours. */
function errorOfChild(cause: Error & { stdout?: string }): Error {
  try {
    const { error } = JSON.parse(cause.stdout ?? '') as { error: { code: string; message: string } };
    if (Object.hasOwn(errorCodes, error.code)) return new VaultError(error.code as ErrorCode, error.message, { cause });
  } catch {
    // not its JSON
  }
  return cause;
}
