import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type TokenEvent, WorkerPool } from './pool.ts';
import type { TokenPort } from './port.ts';
import { modulePath, type Profile } from './profile.ts';

export interface OpenTokenOptions {
  readonly profile: Profile;
  /** Path of the PKCS#11 module, where the vendor's usual ones do not fit. */
  readonly module?: string;
  /** What the module wants to be told (profile.ts, `initParametersFor`). */
  readonly initParameters?: string | undefined;
  readonly tokenLabel: string;
  /** Taken over: kept for logging in again, wiped by `close`. */
  readonly pin: SecretBytes;
  readonly fleet: string;
  readonly index: number;
  readonly onEvent?: (event: TokenEvent) => void;
}

/** Opens and tests a replica's token. Throws MODULE_MISSING, TOKEN_MISSING, PIN_REFUSED, KEY_MISSING, TOKEN_UNFIT. */
export async function openToken(options: OpenTokenOptions): Promise<TokenPort> {
  const { profile, initParameters, tokenLabel, fleet, index, pin, onEvent = () => {} } = options;
  const module = modulePath(profile, options.module);
  const pool = new WorkerPool({ profile, module, initParameters, tokenLabel, fleet, index }, pin, onEvent);
  const identity = await pool.start();
  return {
    identity,
    newOprfKey: (point) => pool.call('newOprfKey', point),
    evaluate: (request) => pool.call('evaluate', request),
    adopt: (request) => pool.call('adopt', request),
    release: (request) => pool.call('release', request),
    sign: (digest) => pool.call('sign', digest),
    mac: (digest) => pool.call('mac', digest),
    verifyMac: (check) => pool.call('verifyMac', check),
    readBootRecord: () => pool.call('readBootRecord', undefined),
    writeBootRecord: (record) => pool.call('writeBootRecord', record),
    close: () => pool.close(),
  };
}
