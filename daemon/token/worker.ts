import { parentPort, workerData } from 'node:worker_threads';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { meaningOf } from './failure.ts';
import { type FromWorker, type Opening, type ToWorker, toPlain, type WorkerData } from './messages.ts';
import { finalise, initialiseAgain, type Module, openModule } from './module.ts';
import { type OperationName, operations } from './operations.ts';
import type { TokenIdentity } from './port.ts';
import { closeQuietly, openReplicaIn, type ReplicaToken } from './replica.ts';

// The entry of a worker thread. Its calls into the module are synchronous: pkcs11js's asynchronous ones leak and do not pin their buffers.

if (parentPort === null) throw new Error('worker.ts runs in a worker thread only');
const port = parentPort;
const { location } = workerData as WorkerData;

/** Loaded once: what is collected would unload it, under the feet of the other threads. */
let module: Module | undefined;
let token: ReplicaToken | undefined;
let expected: TokenIdentity | undefined;
let objectsTold = 0;

port.on('message', async (message: ToWorker) => {
  const { id } = message;
  try {
    const value = await handle(message);
    port.postMessage({ id, value, objectsMade: newObjects() } satisfies FromWorker);
  } catch (error) {
    port.postMessage({ id, error: toPlain(error), objectsMade: newObjects() } satisfies FromWorker);
  }
  if (message.kind === 'end') port.close();
});

function handle(message: ToWorker): unknown {
  switch (message.kind) {
    case 'open':
      return open(message);
    case 'call':
      return call(message.operation, message.argument);
    case 'leave':
      return leave();
    case 'end':
      leave();
      if (message.finalise && module) finalise(module);
  }
}

async function open({ afresh, pin, selfTest, expected: known }: Opening): Promise<TokenIdentity> {
  const secret = pin && new SecretBytes(pin);
  pin?.fill(0);
  try {
    module ??= openModule(location.module, location.initParameters);
    if (afresh) initialiseAgain(module, location.initParameters);
    expected = known;
    enter(module, secret);
  } finally {
    secret?.wipe();
  }
  if (selfTest) (await import('./self-test.ts')).selfTest(token as ReplicaToken); // here alone: the other workers do without its memory
  return (token as ReplicaToken).identity;
}

/** A session may have ended behind our back: a new one, once. Safe, since no operation leaves anything behind (operations.ts). */
function call(operation: OperationName, argument: unknown): unknown {
  const run = operations[operation] as (token: ReplicaToken, argument: unknown) => unknown;
  if (module === undefined || token === undefined) throw new VaultError('TOKEN_UNAVAILABLE', 'This worker has not opened the token.');
  try {
    return run(token, argument);
  } catch (error) {
    const cause = verdictOrLoss(error, token);
    if (meaningOf(cause) !== 'session') throw cause;
    const old = token;
    enter(module, undefined);
    closeQuietly(old.session); // only now: closing the last one logs the application out
    return run(token, argument);
  }
}

/**
 * What a token answers while it, or the session, is lost in the middle of a call is no verdict on the call: SoftHSM says GENERAL_ERROR,
 * and others may say that a signature is wrong.
 */
function verdictOrLoss(error: unknown, { session }: ReplicaToken): unknown {
  if (meaningOf(error) !== 'fault' || isVaultError(error, 'MALFORMED')) return error;
  try {
    session.requireLogin();
    return error;
  } catch (loss) {
    return loss;
  }
}

/** Opens a session and takes it for ours. */
function enter(opened: Module, pin: SecretBytes | undefined): void {
  newObjects();
  const entered = openReplicaIn(opened, location, pin);
  if (expected !== undefined && !sameToken(entered.identity, expected)) {
    closeQuietly(entered.session);
    throw new VaultError('STATEMENT_MISMATCH', 'The token that came back is not the one that was opened first.');
  }
  expected = entered.identity;
  token = entered;
  objectsTold = 0;
}

const sameToken = (a: TokenIdentity, b: TokenIdentity): boolean =>
  a.serial === b.serial && constantTimeEqual(a.sessionKey, b.sessionKey) && constantTimeEqual(a.receiptKey, b.receiptKey);

function leave(): void {
  const held = token;
  token = undefined;
  if (held) closeQuietly(held.session);
}

function newObjects(): number {
  const made = (token?.session.objectsMade ?? 0) - objectsTold;
  objectsTold += made;
  return made;
}
