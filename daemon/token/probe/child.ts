import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { FIRST_SET } from '../keys/key-sets.ts';
import { openReplicaIn } from '../keys/replica.ts';
import { refusedBy } from '../pkcs11/failure.ts';
import { inspectModule } from '../pkcs11/inspect.ts';
import { finalise, type Module, openModule, type SlotId, slotNumber } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import { selfTest } from '../self-test.ts';
import { Bench } from './bench.ts';
import type { FromChild, Job, Task } from './messages.ts';
import { makeTokenObjects, owner, sweep } from './trial-keys.ts';

// One job of `bkvctl hsm probe`, in a process of its own: a module may take that down with it.

/** Resolves once it is on its way: a module may end this process in the next call. */
const send = (message: FromChild): Promise<void> => new Promise((resolve) => process.send?.(message, () => resolve()));

async function perform({ place, pin: bytes = new Uint8Array(0), job }: Task): Promise<unknown> {
  if (job.kind === 'inspect') return inspectModule(place);
  const pin = new SecretBytes(bytes);
  bytes.fill(0);
  const module = openModule(place);
  try {
    return await inToken(module, place, pin, job);
  } finally {
    pin.wipe();
    finalise(module);
  }
}

async function inToken(module: Module, { profile, ...place }: Task['place'], pin: SecretBytes, job: Exclude<Job, { kind: 'inspect' }>) {
  if (job.kind === 'serve') {
    const replica = openReplicaIn(module, { ...place, ...owner, profile, tokenLabel: job.tokenLabel, epoch: FIRST_SET }, pin);
    return selfTest(replica);
  }
  const slot = slotWith(module, job.slot);
  const session = new TokenSession(module, slot); // whoever closes the last one logs out
  session.login(profile.userType, pin);
  switch (job.kind) {
    case 'sweep':
      return { swept: sweep(session), objects: session.find({}, MOST_OBJECTS).length };
    case 'make':
      return makeTokenObjects(session, profile);
    case 'bench': {
      const bench = new Bench({ module, slot, profile, pin, kept: job.kept });
      for (const step of job.steps) {
        await send({ kind: 'began', step });
        const result = bench.run(step);
        await send({ kind: 'done', result });
        if (step.kind === 'keys' && 'works' in result && !result.works) break; // all else takes keys
      }
      return bench.close();
    }
  }
}

const MOST_OBJECTS = 100_000;

function slotWith(module: Module, number: bigint): SlotId {
  const slot = module.C_GetSlotList(true).find((candidate) => slotNumber(candidate) === number);
  if (slot === undefined) throw new VaultError('TOKEN_MISSING', `Slot ${number} is gone.`);
  return slot;
}

function failure(error: unknown): FromChild {
  if (!isVaultError(error)) return { kind: 'failed', code: 'INTERNAL', message: (error as Error).stack ?? String(error) };
  const refused = refusedBy(error);
  return { kind: 'failed', code: error.code, message: error.message, ...(refused === undefined ? {} : { refused }) };
}

process.on('disconnect', () => process.exit()); // whoever asked is gone
process.once('message', async (task: Task) => {
  try {
    await send({ kind: 'over', answer: await perform(task) });
  } catch (error) {
    await send(failure(error));
  }
  process.exit();
});
