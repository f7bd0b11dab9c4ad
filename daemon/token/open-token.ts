import type { TokenFault } from '../../protocol/token-fault.ts';
import { beginEvaluation } from './evaluation.ts';
import type { KeyOwner } from './keys/key-sets.ts';
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
}

export interface OpenToken extends TokenPort {
  /** Why it does not serve at present; its calls are refused then. It comes back by itself. */
  fault(): TokenFault | undefined;
  /** `listener` is told after each event. */
  onChange(listener: () => void): void;
}

/** Opens and tests a replica's token. Throws MODULE_MISSING, TOKEN_MISSING, PIN_REFUSED, KEY_MISSING, TOKEN_UNFIT. */
export async function openToken(options: OpenTokenOptions): Promise<OpenToken> {
  const { profile, initParameters, tokenLabel, fleet, index, epoch, pin, onEvent = () => {} } = options;
  const module = modulePath(profile, options.module);
  const listeners: (() => void)[] = [];
  const pool = new WorkerPool({ profile, module, initParameters, tokenLabel, fleet, index, epoch }, pin, (event) => {
    onEvent(event);
    for (const listener of listeners) listener();
  });
  const identity = await pool.start();
  return {
    identity,
    newOprfKey: (point) => pool.call('newOprfKey', point),
    evaluate: async ({ point, ...request }) => {
      const { points, finish } = beginEvaluation(request.publicKey, point);
      return finish(await pool.call('deriveStored', { ...request, points }));
    },
    adopt: (request) => pool.call('adopt', request),
    release: (request) => pool.call('release', request),
    sign: (digest) => pool.call('sign', digest),
    mac: (digest) => pool.call('mac', digest),
    verifyMac: (check) => pool.call('verifyMac', check),
    readBootRecord: () => pool.call('readBootRecord', undefined),
    writeBootRecord: (record) => pool.call('writeBootRecord', record),
    fault: () => pool.fault,
    onChange: (listener) => void listeners.push(listener),
    close: () => pool.close(),
  };
}
