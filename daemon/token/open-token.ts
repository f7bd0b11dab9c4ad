import type { Millis } from '../../primitives/brand.ts';
import type { TokenFault } from '../../protocol/token-fault.ts';
import type { KeyOwner } from './keys/key-sets.ts';
import { setEnvironment } from './pkcs11/module.ts';
import type { PinSource } from './pool/pin-reader.ts';
import { type TokenEvent, WorkerPool } from './pool/pool.ts';
import type { TokenPort } from './port.ts';
import { modulePath, type Profile } from './profile.ts';

export interface OpenTokenOptions extends KeyOwner {
  readonly profile: Profile;
  /** Path of the PKCS#11 module, where the vendor's usual ones do not fit. */
  readonly module?: string;
  /** What the module wants to be told (profile.ts, `initParametersFor`). */
  readonly initParameters?: string | undefined;
  readonly tokenLabel: string;
  /** Asked at each login; what it gives is wiped afterwards. */
  readonly pin: PinSource;
  /** As ReplicaLocation has it. */
  readonly epoch: number;
  readonly onEvent?: (event: TokenEvent) => void;
  /** How often its derivations are held against its public keys. */
  readonly checkEvery?: Millis;
}

export interface OpenToken extends TokenPort {
  /** Why it does not serve at present; its calls are refused then. It comes back by itself. */
  fault(): TokenFault | undefined;
  /** `listener` is told after each event. */
  onChange(listener: () => void): void;
}

const CHECK: Millis = 10_000;

/** Opens and tests a replica's token. Throws MODULE_MISSING, TOKEN_MISSING, PIN_REFUSED, KEY_MISSING, TOKEN_UNFIT. */
export async function openToken(options: OpenTokenOptions): Promise<OpenToken> {
  const { profile, initParameters, tokenLabel, fleet, index, epoch, pin, onEvent = () => {}, checkEvery = CHECK } = options;
  const module = modulePath(profile, options.module);
  setEnvironment(profile);
  const listeners: (() => void)[] = [];
  const location = { profile, module, initParameters, tokenLabel, fleet, index, epoch };
  const onAnyEvent = (event: TokenEvent) => {
    onEvent(event);
    for (const listener of listeners) listener();
  };
  const pool = new WorkerPool(location, { pin, onEvent: onAnyEvent, checkEvery });
  const identity = await pool.start();
  return {
    identity,
    offer: (request) => pool.call('offer', request),
    prepare: (request) => pool.call('prepare', request),
    evaluate: (request) => pool.call('evaluate', request),
    verify: (request) => pool.call('verify', request),
    check: (generation) => pool.call('check', generation),
    release: (request) => pool.call('release', request),
    sign: (digest) => pool.call('sign', digest),
    mac: (digest) => pool.call('mac', digest),
    readBootRecord: () => pool.call('readBootRecord', undefined),
    writeBootRecord: (record) => pool.call('writeBootRecord', record),
    fault: () => pool.fault,
    onChange: (listener) => void listeners.push(listener),
    close: () => pool.close(),
  };
}
