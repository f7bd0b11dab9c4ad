import { readBootRecord, writeBootRecord } from './boot-record.ts';
import { checkDerivations } from './derive.ts';
import type { ReplicaToken } from './keys/replica.ts';
import type { TokenPort } from './port.ts';
import { check, evaluate, offer, prepare, release, verify } from './steps.ts';
import { mac, requireMacs, sign } from './verify.ts';

/** The calls of the port, and the pool's own. */
interface Operations extends Omit<TokenPort, 'identity' | 'close'> {
  checkDerivations(): Promise<void>;
}

export type OperationName = keyof Operations;
export type Argument<Name extends OperationName> = Parameters<Operations[Name]>[0];
export type Result<Name extends OperationName> = Awaited<ReturnType<Operations[Name]>>;

/** What a worker does. Each may be repeated: nothing here but the boot record outlives its call. */
export const operations: { readonly [Name in OperationName]: (token: ReplicaToken, argument: Argument<Name>) => Result<Name> } = {
  offer,
  prepare,
  evaluate,
  check,
  verify,
  release,
  sign,
  mac,
  readBootRecord: (token) => {
    requireMacs(token); // it is the question whether the token is well, and to read it takes no key
    return readBootRecord(token);
  },
  writeBootRecord,
  checkDerivations,
};
