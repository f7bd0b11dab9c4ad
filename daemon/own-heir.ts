import type { Bytes } from '../primitives/bytes.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import type { Config } from './config.ts';
import { readPin } from './inputs.ts';
import { locationOf } from './own-keys.ts';
import { giveUpHeir, type HeirOptions, inherit, makeHeir } from './token/keys/heir.ts';
import { encodeHeir, parseBequest } from './token/keys/heir-files.ts';
import { initToken } from './token/keys/init-token.ts';

// Wires `bkvctl keys heir` and `inherit`: a second token of a replica, as the configuration that it will once serve with names it.

/** What the token writes of itself. With the officer's PIN it is a blank one, and initialised first. */
export function makeOwnHeir(config: Config, fleet: string, blank: { readonly soPin: SecretBytes } | undefined): Bytes {
  const options = optionsOf(config, fleet);
  const { module, initParameters, profile, tokenLabel: label, pin } = options;
  if (blank) initToken({ module, initParameters, initialise: profile.initialise, label, pin, soPin: blank.soPin });
  return encodeHeir(makeHeir(options));
}

export const giveUpOwnHeir = (config: Config, fleet: string): void => giveUpHeir(optionsOf(config, fleet));

/** Returns the number of the set. */
export function inheritOwnKeys(config: Config, file: Uint8Array): number {
  const bequest = parseBequest(file);
  inherit(optionsOf(config, bequest.fleet), bequest);
  return bequest.set;
}

const optionsOf = (config: Config, fleet: string): HeirOptions => ({
  ...locationOf(config, { fleet, epoch: 1 }), // no statement names an heir
  pin: readPin(config).pin,
});
