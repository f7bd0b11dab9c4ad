import { adopt } from './adopt.ts';
import { readBootRecord, writeBootRecord } from './boot-record.ts';
import { deriveStored, newOprfKey } from './evaluate.ts';
import { asOf, type ReplicaToken } from './keys/replica.ts';
import type { TokenPort } from './port.ts';
import { release } from './release.ts';
import { mac, requireMac, requireMacs, sign } from './verify.ts';

/** The calls of the port, and of `evaluate` the part that needs the token: the arithmetic is done beside the worker (open-token.ts). */
type Operations = Omit<TokenPort, 'identity' | 'close' | 'evaluate'> & {
  deriveStored(request: Parameters<typeof deriveStored>[1]): Promise<ReturnType<typeof deriveStored>>;
};

export type OperationName = keyof Operations;
export type Argument<Name extends OperationName> = Parameters<Operations[Name]>[0];
export type Result<Name extends OperationName> = Awaited<ReturnType<Operations[Name]>>;

/** What a worker does. Each may be repeated: nothing here but the boot record outlives its call. */
export const operations: { readonly [Name in OperationName]: (token: ReplicaToken, argument: Argument<Name>) => Result<Name> } = {
  newOprfKey,
  deriveStored,
  adopt,
  release,
  sign,
  mac,
  readBootRecord: (token) => {
    requireMacs(token); // it is the question whether the token is well, and to read it takes no key
    return readBootRecord(token);
  },
  writeBootRecord,
  verifyMac: (token, check) => requireMac(asOf(token, check.epoch), check, 'MAC_REFUSED'),
};
