import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import type { Signer } from '../fleet/signing-token/signer.ts';
import { SigningToken } from '../fleet/signing-token/signing-token.ts';
import { VaultError } from '../primitives/errors.ts';
import { openProfile } from './arguments.ts';

/** Where a person's P-256 key is: in a token, or in a PEM file for rehearsals. */
export interface SigningOptions {
  readonly key?: string;
  readonly token?: string;
  readonly keyName: string;
  readonly pinFile?: string;
  readonly profile: string;
  readonly module?: string;
}

export const withSigningOptions = (command: Command): Command =>
  command
    .option('--token <label>', 'the token that holds the key')
    .option('--key-name <name>', 'what the key is called in the token', 'bundle')
    .option('--pin-file <file>', "the token's PIN")
    .option('--profile <name>', "the token's vendor profile", 'softhsm2')
    .option('--module <file>', "the PKCS #11 module, where it is not at one of the profile's places")
    .option('--key <file>', 'a P-256 key in PEM instead of a token: for rehearsals');

/** Hands the key to `use`, and lets go of the token afterwards. Throws CONFIG_INVALID, PIN_REFUSED, KEY_MISSING. */
export async function withSigner<T>(options: SigningOptions, use: (signer: Signer) => T | Promise<T>): Promise<T> {
  if ((options.key === undefined) === (options.token === undefined))
    throw new VaultError('CONFIG_INVALID', 'Say where the key is: either --token with --pin-file, or --key.');
  if (options.key !== undefined) return use(pemSigner(options.key));
  if (options.pinFile === undefined) throw new VaultError('CONFIG_INVALID', 'A token opens with its PIN: give --pin-file.');
  const { module, profile, token: label = '', keyName } = options;
  const token = new SigningToken({ profile: openProfile(profile), module, label, pin: readPin(options.pinFile) });
  try {
    return await use(token.signer('p256', keyName));
  } finally {
    token.close();
  }
}

function pemSigner(file: string): Signer {
  try {
    const privateKey = createPrivateKey(readFileSync(file));
    const { x = '', y = '', crv } = createPublicKey(privateKey).export({ format: 'jwk' }) as { x?: string; y?: string; crv?: string };
    if (crv !== 'P-256') throw new Error('it is no P-256 key');
    return {
      kind: 'p256',
      publicKey: new Uint8Array(Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')])),
      sign: (message) => new Uint8Array(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
    };
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `The key ${file} cannot be used: ${(cause as Error).message}`, { cause });
  }
}
