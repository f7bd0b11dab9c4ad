import { parentPort, workerData } from 'node:worker_threads';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type FromWorker, type ToWorker, toPlain, type WorkerData } from './messages.ts';
import { type OperationName, operations } from './operations.ts';
import type { TokenIdentity } from './port.ts';
import { openReplica, type ReplicaToken } from './replica.ts';
import { selfTest } from './self-test.ts';

// The entry of a worker thread. Its calls into the module are synchronous: pkcs11js's asynchronous ones leak and do not pin their buffers.

if (parentPort === null) throw new Error('worker.ts runs in a worker thread only');
const port = parentPort;
const data = workerData as WorkerData;
const answer = (message: FromWorker): void => port.postMessage(message);

/** Kept while the worker lives, since a token that was reset or replugged wants a login again. */
let pin = new SecretBytes(new Uint8Array(0));
let token: ReplicaToken | undefined;
let expected = data.expected;
/** Once refused, the PIN is not tried again: a few more would lock it. */
let pinRefused: VaultError | undefined;

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'open':
      pin = new SecretBytes(message.pin);
      message.pin.fill(0);
      return firstOpen();
    case 'call':
      return call(message.id, message.operation, message.argument);
    case 'recycle':
      return letGo(true);
    case 'close':
      letGo(message.finalise);
      pin.wipe();
      port.close();
  }
});

function firstOpen(): void {
  try {
    const opened = open();
    if (data.selfTest) selfTest(opened);
    answer({ kind: 'ready', identity: opened.identity });
  } catch (error) {
    letGo(false);
    answer({ kind: 'unopened', error: toPlain(error) });
  }
}

function call(id: number, operation: OperationName, argument: unknown): void {
  try {
    const value = withOneRetry((opened) =>
      (operations[operation] as (token: ReplicaToken, argument: unknown) => unknown)(opened, argument),
    );
    answer({ kind: 'result', id, value, objectsMade: token?.session.objectsMade ?? 0 });
  } catch (error) {
    answer({ kind: 'error', id, error: toPlain(error), objectsMade: token?.session.objectsMade ?? 0 });
  }
}

/** A session may have ended behind our back: a new one, once. Safe, since no operation leaves anything behind (operations.ts). */
function withOneRetry<T>(work: (token: ReplicaToken) => T): T {
  const reused = token !== undefined;
  try {
    return work(token ?? open());
  } catch (error) {
    if (!isVaultError(error, 'TOKEN_UNAVAILABLE')) throw error;
    letGo(false);
    if (!reused) throw error;
    return work(open());
  }
}

function open(): ReplicaToken {
  if (pinRefused !== undefined) throw pinRefused;
  const opened = openOnce();
  if (expected !== undefined && !sameToken(opened.identity, expected)) {
    opened.session.close();
    throw new VaultError('TOKEN_FAULT', 'The token that came back is not the one that was opened first.');
  }
  expected = opened.identity;
  token = opened;
  return opened;
}

function openOnce(): ReplicaToken {
  try {
    return openReplica(data.location, pin);
  } catch (error) {
    if (isVaultError(error, 'PIN_REFUSED')) pinRefused = error;
    throw error;
  }
}

const sameToken = (a: TokenIdentity, b: TokenIdentity): boolean =>
  a.serial === b.serial && constantTimeEqual(a.sessionKey, b.sessionKey) && constantTimeEqual(a.receiptKey, b.receiptKey);

/** Leaves the token, whatever state it is in. Closing the application's last session logs it out. */
function letGo(finalise: boolean): void {
  const held = token;
  token = undefined;
  try {
    held?.session.close();
  } catch {
    // It was gone already.
  }
  if (!finalise) return;
  try {
    held?.module.C_Finalize();
  } catch {
    // Another thread finalised it, or it was lost with the token: either way there is nothing left to give back.
  }
}
