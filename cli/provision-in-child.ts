import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeSoftHsmDirectory } from '../daemon/token/softhsm-directory.ts';
import type { ReplicaPlace } from '../fleet/produce/fleet-plan.ts';
import { type Provisioned, type TokenReading, tokenReadingSchema } from '../fleet/produce/token-reading.ts';
import { type ErrorCode, errorCodes, VaultError } from '../primitives/errors.ts';
import { packageRoot } from '../primitives/package-root.ts';

/** Makes a replica's keys and guard, and before them a software token of its own where there is a PIN for that token's officer. */
export async function provisionInChild({ fleet, directory, config }: ReplicaPlace, soPinFile: string | undefined): Promise<Provisioned> {
  if (soPinFile !== undefined) makeSoftHsmDirectory(directory, join(packageRoot, 'softhsm/softhsm2.conf'));
  const args = ['replica', 'provision', '--fleet', fleet, '--config', config];
  const blank = soPinFile === undefined ? [] : ['--init-token', '--so-pin-file', soPinFile];
  return readInChild([...args, ...blank], directory);
}

/** Makes the keys for another epoch in such a replica's token. */
export const rotateInChild = ({ directory, config }: ReplicaPlace, epoch: number): Promise<Provisioned> =>
  readInChild(['keys', 'rotate', '--epoch', String(epoch), '--config', config], directory);

async function readInChild(args: readonly string[], directory: string): Promise<Provisioned> {
  const softHsm = join(directory, 'softhsm2.conf');
  const environment = existsSync(softHsm) ? { SOFTHSM2_CONF: softHsm } : undefined; // else whoever has the token says where it is
  const { mechanisms: _unstated, ...provisioned } = await readTokenInChild(args, environment);
  return provisioned;
}

/**
 * Runs a command of bkvctl that prints a TokenReading in a process of its own: PKCS #11 modules read their configuration once in the life
 * of a process, as SoftHSM2 does SOFTHSM2_CONF.
 */
export async function readTokenInChild(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<TokenReading> {
  const program = [join(packageRoot, 'dist/cli/main.js'), '--json', ...args];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, program, { env: { ...process.env, ...environment } });
    return tokenReadingSchema.parse(JSON.parse(stdout));
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
