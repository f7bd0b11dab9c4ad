import { adopt } from './adopt.ts';
import { readBootRecord, writeBootRecord } from './boot-record.ts';
import { evaluate, newOprfKey } from './evaluate.ts';
import type { TokenPort } from './port.ts';
import { release } from './release.ts';
import type { ReplicaToken } from './replica.ts';
import { mac, requireMac, requireMacs, sign } from './verify.ts';

export type OperationName = Exclude<keyof TokenPort, 'identity' | 'close'>;
export type Argument<Name extends OperationName> = Parameters<TokenPort[Name]>[0];
export type Result<Name extends OperationName> = Awaited<ReturnType<TokenPort[Name]>>;

/** What a worker does for each call of the port. Each may be repeated: nothing here but the boot record outlives its call. */
export const operations: { readonly [Name in OperationName]: (token: ReplicaToken, argument: Argument<Name>) => Result<Name> } = {
  newOprfKey,
  evaluate,
  adopt,
  release,
  sign,
  mac,
  readBootRecord: (token) => {
    requireMacs(token); // it is the question whether the token is well, and to read it takes no key
    return readBootRecord(token);
  },
  writeBootRecord,
  verifyMac: (token, check) => requireMac(token, check, 'MAC_REFUSED'),
};
