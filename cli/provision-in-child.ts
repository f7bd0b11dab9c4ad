import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeSoftHsmDirectory } from '../daemon/token/softhsm-directory.ts';
import type { ReplicaPlace } from '../fleet/produce/fleet-plan.ts';
import { type Provisioned, type TokenReading, tokenReadingSchema } from '../fleet/produce/statement.ts';
import { type ErrorCode, errorCodes, VaultError } from '../primitives/errors.ts';
import { packageRoot } from '../primitives/package-root.ts';

/** Makes a replica's SoftHSM2 token, keys and guard. */
export async function provisionInChild({ fleet, directory, config, soPinFile }: ReplicaPlace): Promise<Provisioned> {
  const softHsmConf = makeSoftHsmDirectory(directory, join(packageRoot, 'softhsm/softhsm2.conf'));
  const args = ['replica', 'provision', '--init-token', '--fleet', fleet, '--config', config, '--so-pin-file', soPinFile];
  const { mechanisms: _unstated, ...provisioned } = await readTokenInChild(args, { SOFTHSM2_CONF: softHsmConf });
  return provisioned;
}

/** Makes the keys for another epoch in such a token. */
export async function rotateInChild({ directory, config, soPinFile }: ReplicaPlace, epoch: number): Promise<Provisioned> {
  const args = ['keys', 'rotate', '--epoch', String(epoch), '--config', config, '--so-pin-file', soPinFile];
  const { mechanisms: _unstated, ...provisioned } = await readTokenInChild(args, { SOFTHSM2_CONF: join(directory, 'softhsm2.conf') });
  return provisioned;
}

/**
 * Runs a command of bkvctl that prints a TokenReading in a process of its own: PKCS #11 modules read their configuration once in the life
 * of a process, as SoftHSM2 does SOFTHSM2_CONF.
 */
export async function readTokenInChild(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<TokenReading> {
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
