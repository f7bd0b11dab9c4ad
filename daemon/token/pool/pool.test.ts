import { randomBytes } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { PATIENCE } from '../../../test/harness/patience.ts';
import { makeTestToken, PIN } from '../../../test/harness/test-token.ts';
import { openToken } from '../open-token.ts';
import { findSlot, openModule } from '../pkcs11/module.ts';
import type { TokenPort } from '../port.ts';
import type { TokenEvent } from './pool.ts';

const workers = vi.hoisted(() => [] as Worker[]);
vi.mock('node:worker_threads', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:worker_threads')>();
  return {
    ...original,
    Worker: class extends original.Worker {
      constructor(...options: ConstructorParameters<typeof Worker>) {
        super(...options);
        workers.push(this);
      }
    },
  };
});

const { location } = makeTestToken(afterAll, { callTimeout: PATIENCE.timeout });
const events: TokenEvent[] = [];
let pinInFile = PIN;
let written = 'at first';
let reads = 0;
let port: TokenPort;
beforeAll(async () => {
  port = await openToken({
    ...location,
    pin: () => {
      reads++;
      return { pin: new SecretBytes(Buffer.from(pinInFile)), stamp: written };
    },
    onEvent: (event) => events.push(event),
  });
  events.length = 0; // of a machine so busy that opening took long
});
afterAll(() => port.close());

/** A token that takes a second for a call is told as silent, and rightly. */
const lossesAndReturns = () => events.filter((event) => event.kind !== 'token-lost' || event.fault !== 'silent');
const kinds = () => lossesAndReturns().map(({ kind }) => kind);

/** As often as it is tried to open the token. */
async function isRead(more: number): Promise<void> {
  const enough = reads + more;
  await vi.waitFor(() => expect(reads).toBeGreaterThanOrEqual(enough), PATIENCE);
}

afterEach(() => {
  events.length = 0;
});

it('a worker that dies is replaced, and its calls are answered by the next', async () => {
  // Before their calls, on what it cannot read. Terminated in the middle of a call it would take the process with it: pkcs11js does not check what
  // N-API answers in a thread that is being ended, and goes on with a pointer to nothing.
  (workers.at(-1) as Worker).postMessage(null);
  const calls = Array.from({ length: 20 }, () => port.mac(randomBytes(32)));
  for (const mac of await Promise.all(calls)) expect(mac).toHaveLength(32);
  expect(kinds()).toEqual(['worker-died', 'token-back']);
});

it('a PIN once refused is not tried again, lest the token lock it, until its file is written anew', async () => {
  const changed = 'user4321';
  const module = openModule(location);
  const slot = findSlot(module, location.tokenLabel);
  const setPin = (from: string, to: string, isLoggedIn: boolean) => {
    const session = module.C_OpenSession(slot, 6); // read/write
    if (!isLoggedIn) module.C_Login(session, 1, from); // NSS wants it
    module.C_SetPIN(session, from, to);
    module.C_Logout(session); // a proxy has sessions of its own for each who loaded it, and one login
    module.C_CloseAllSessions(slot);
  };
  setPin(pinInFile, changed, true);
  await expect(port.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  expect(lossesAndReturns()).toMatchObject([{ kind: 'token-lost', fault: 'pin_refused' }]);
  await isRead(4);
  // SoftHSM counts no failures; that the PIN was tried once shows by its being right again, and not tried.
  setPin(changed, pinInFile, false);
  await isRead(4);
  await expect(port.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });

  setPin(pinInFile, changed, false);
  pinInFile = changed;
  written = 'anew';
  await vi.waitFor(() => expect(kinds()).toEqual(['token-lost', 'token-back']), PATIENCE);
  await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
});
