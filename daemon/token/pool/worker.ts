import { parentPort, workerData } from 'node:worker_threads';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { closeQuietly, openReplicaIn, type ReplicaToken } from '../keys/replica.ts';
import { type OperationName, operations } from '../operations.ts';
import { ControlFailure, meaningOf, positiveControl } from '../pkcs11/failure.ts';
import { finalise, initialiseAgain, type Module, openModule } from '../pkcs11/module.ts';
import type { TokenIdentity } from '../port.ts';
import { requireMacs } from '../verify.ts';
import { type FromWorker, type Opening, type TestExtent, type ToWorker, toPlain, type WorkerData } from './messages.ts';

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
    case 'test':
      return test(message.extent);
    case 'call':
      return call(message.operation, message.argument);
    case 'leave':
      return leave();
    case 'end':
      leave();
      if (message.finalise && module && location.profile.finalise !== false) finalise(module);
  }
}

function open({ afresh, pin, expected: known }: Opening): TokenIdentity {
  const secret = pin && new SecretBytes(pin);
  pin?.fill(0);
  try {
    const { workers } = location.profile;
    module ??= openModule(location, workers);
    if (afresh) initialiseAgain(module, location, workers);
    expected = known;
    return enter(module, secret).identity;
  } finally {
    secret?.wipe();
  }
}

async function test(extent: TestExtent): Promise<void> {
  const { selfTest } = await import('../self-test.ts'); // in one worker: the others do without its memory
  selfTest(held(), extent);
}

function held(): ReplicaToken {
  if (token === undefined) throw new VaultError('TOKEN_UNAVAILABLE', 'This worker has not opened the token.');
  return token;
}

/**
 * What the token fails in passing is done again, once, with a new session if that ended behind our back: safe, since no operation leaves
 * anything behind (operations.ts). A call that fails again, of a token that does other things in between, is at fault itself.
 */
function call(operation: OperationName, argument: unknown): unknown {
  const run = operations[operation] as (token: ReplicaToken, argument: unknown) => unknown;
  const attempt = (): { value: unknown } | { loss: unknown } => {
    const opened = held();
    try {
      return { value: run(opened, argument) };
    } catch (error) {
      const loss = verdictOrLoss(error, opened);
      if (meaningOf(loss) === 'fault') throw loss;
      return { loss };
    }
  };
  const first = attempt();
  if ('value' in first) return first.value;
  if (meaningOf(first.loss) === 'session') renewSession();
  requireMacs(held());
  const second = attempt();
  if ('value' in second) return second.value;
  if (second.loss instanceof ControlFailure) throw second.loss;
  requireMacs(held());
  throw new VaultError('TOKEN_FAULT', `The token fails this call and no other: ${(second.loss as Error).message}`);
}

function renewSession(): void {
  const old = held();
  // Whatever this throws, keys that are missing too, it is the token that is lost, and not the call that is wrong.
  positiveControl(() => enter(module as Module, undefined));
  closeQuietly(old.session); // only now: closing the last one logs the application out
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
function enter(opened: Module, pin: SecretBytes | undefined): ReplicaToken {
  const entered = openReplicaIn(opened, location, pin);
  if (expected !== undefined && !sameToken(entered.identity, expected)) {
    closeQuietly(entered.session);
    throw new VaultError('STATEMENT_MISMATCH', 'The token that came back is not the one that was opened first.');
  }
  expected = entered.identity;
  objectsTold = -newObjects(); // of the session before
  token = entered;
  return entered;
}

const sameToken = (a: TokenIdentity, b: TokenIdentity): boolean =>
  a.serial === b.serial && (['oprfKey', 'releaseKey', 'receiptKey'] as const).every((key) => constantTimeEqual(a[key], b[key]));

function leave(): void {
  const left = token;
  token = undefined;
  objectsTold = 0;
  if (left) closeQuietly(left.session);
}

function newObjects(): number {
  const made = (token?.session.objectsMade ?? 0) - objectsTold;
  objectsTold += made;
  return made;
}
