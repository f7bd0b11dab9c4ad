import { join } from 'node:path';
import type { Command } from 'commander';
import { openProfile, readInput } from '../cli/arguments.ts';
import { parseNoteKey } from '../fleet/log/note-key.ts';
import type { BundleSigner } from '../fleet/produce/cms.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import type { Signer } from '../fleet/signing-token/signer.ts';
import { SigningToken } from '../fleet/signing-token/signing-token.ts';
import { type OperatorAuthorities, operatorAuthorities } from '../fleet/verify/in-force.ts';
import { loadWitnessConfig, type WitnessConfig } from '../fleet/witness/config.ts';
import { PublishedLog } from '../fleet/witness/published-log.ts';
import { newestLines, type WitnessOptions } from '../fleet/witness/witness.ts';
import { systemClock } from '../primitives/clock.ts';

/** A witness whose token is open. */
export interface OpenWitness {
  readonly options: Omit<WitnessOptions, 'judgement'>;
  /** By fleet. */
  readonly operators: OperatorAuthorities;
  /** P-256: signs statements. */
  readonly bundleSigner: BundleSigner;
  /** Ed25519: signs notes. */
  readonly logSigner: Signer;
}

/** Of the two keys in a witness's token. */
export const keyLabels = (name: string) => ({ log: `${name} log`, bundle: `${name} bundle` });

export const CERTIFICATE_FILE = 'bundle.crt';

export const directoryOf = (command: Command): string => command.optsWithGlobals<{ dir: string }>().dir;

/** Lets go of the token afterwards. */
export async function withToken<T>(
  { profile, module, label, pin_file }: WitnessConfig['token'],
  use: (token: SigningToken) => Promise<T>,
): Promise<T> {
  const token = new SigningToken({ profile: openProfile(profile), module, label, pin: readPin(pin_file) });
  try {
    return await use(token);
  } finally {
    token.close();
  }
}

/** For one command. */
export async function withWitness<T>(directory: string, use: (witness: OpenWitness) => Promise<T>): Promise<T> {
  const config = loadWitnessConfig(directory);
  return withToken(config.token, (token) => {
    const labels = keyLabels(config.name);
    const logSigner = token.signer('ed25519', labels.log);
    const certificate = readInput(join(directory, CERTIFICATE_FILE)).toString('utf8');
    const bundleSigner = { certificate, key: token.signer('p256', labels.bundle) };
    const operators = operatorAuthorities(config.operators.map(({ fleet, ca }) => ({ fleet, pem: readInput(ca).toString('utf8') })));
    const options = {
      log: new PublishedLog(directory, config.name, logSigner, newestLines(operators)),
      cosigners: config.cosigners.map(({ vkey, url }) => ({ key: parseNoteKey(vkey), url })),
      clock: systemClock,
    };
    return use({ options, operators, bundleSigner, logSigner });
  });
}
