import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { loadProfile, type Profile } from '../daemon/token/profile.ts';
import { parseNoteKey } from '../fleet/log/note-key.ts';
import { type BundleSigner, signSmime } from '../fleet/produce/cms.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import type { Signer } from '../fleet/signing-token/signer.ts';
import { SigningToken } from '../fleet/signing-token/signing-token.ts';
import { verifyDeployment } from '../fleet/verify/deployment.ts';
import { loadWitnessConfig, type WitnessConfig } from '../fleet/witness/config.ts';
import { PublishedLog } from '../fleet/witness/published-log.ts';
import type { Judgement, WitnessOptions } from '../fleet/witness/witness.ts';
import { systemClock } from '../primitives/clock.ts';
import { VaultError } from '../primitives/errors.ts';
import { profilePath } from '../primitives/package-root.ts';

/** A witness whose token is open. */
export interface OpenWitness {
  readonly options: WitnessOptions;
  /** Ed25519: signs notes. */
  readonly logSigner: Signer;
}

/** Of the two keys in a witness's token. */
export const keyLabels = (name: string) => ({ log: `${name} log`, bundle: `${name} bundle` });

export const CERTIFICATE_FILE = 'bundle.crt';

export const directoryOf = (command: Command): string => command.optsWithGlobals<{ dir: string }>().dir;

export const openProfile = (profile: string): Profile => loadProfile(profile.includes('/') ? profile : profilePath(profile));

export const openToken = ({ token }: WitnessConfig): SigningToken =>
  new SigningToken({ profile: openProfile(token.profile), module: token.module, label: token.label, pin: readPin(token.pin_file) });

/** For one command. */
export async function withWitness<T>(directory: string, use: (witness: OpenWitness) => Promise<T>): Promise<T> {
  const config = loadWitnessConfig(directory);
  const token = openToken(config);
  try {
    const labels = keyLabels(config.name);
    const logSigner = token.signer('ed25519', labels.log);
    const options: WitnessOptions = {
      log: new PublishedLog(directory, config.name, logSigner),
      judgement: judgement({ certificate: read(join(directory, CERTIFICATE_FILE)), key: token.signer('p256', labels.bundle) }),
      cosigners: config.cosigners.map(({ vkey, url }) => ({ key: parseNoteKey(vkey), url })),
      clock: systemClock,
    };
    return await use({ options, logSigner });
  } finally {
    token.close();
  }
}

const judgement = (signer: BundleSigner): Judgement => ({
  verifyEvidence: (files) => {
    verifyDeployment(files);
  },
  signBundle: (statement) => signSmime(statement, signer, systemClock.now()),
});

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
