import { randomBytes } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { findSlot, openModule } from './module.ts';
import { openToken } from './open-token.ts';
import type { TokenEvent } from './pool.ts';
import type { TokenPort } from './port.ts';
import { makeTestToken, pin } from './testing.ts';

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

const { location } = makeTestToken(afterAll);
const events: TokenEvent[] = [];
let port: TokenPort;
beforeAll(async () => {
  port = await openToken({ ...location, pin: pin(), onEvent: (event) => events.push(event) });
});
afterAll(() => port.close());

const kinds = () => events.map(({ kind }) => kind);

it('a worker that dies takes its calls along, and is replaced', async () => {
  const calls = Array.from({ length: 20 }, () => port.mac(randomBytes(32)));
  const results = Promise.allSettled(calls);
  await (workers.at(-1) as Worker).terminate();
  for (const result of await results)
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ name: 'VaultError', code: 'TOKEN_UNAVAILABLE' });
  await expect(port.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  await vi.waitFor(() => expect(kinds()).toEqual(['worker-died', 'worker-restarted']), 5000);
  await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
});

it('a PIN once refused is not tried again, lest the token lock it', async () => {
  const [old, changed] = ['user-pin-1234', 'another-pin'];
  const module = openModule(location.module);
  const slot = findSlot(module, location.tokenLabel);
  const session = module.C_OpenSession(slot, 6); // read/write; the application is logged in
  module.C_SetPIN(session, old, changed);
  module.C_CloseAllSessions(slot);
  await expect(port.mac(randomBytes(32))).rejects.toMatchObject({ code: 'PIN_REFUSED' });
  const again = module.C_OpenSession(slot, 6);
  module.C_Login(again, 1, changed);
  module.C_SetPIN(again, changed, old);
  module.C_CloseAllSessions(slot);
  await expect(port.mac(randomBytes(32))).rejects.toMatchObject({ code: 'PIN_REFUSED' });

  // A fresh worker tries the PIN once, and it is right again.
  await (workers.at(-1) as Worker).terminate();
  await vi.waitFor(() => expect(kinds().at(-1)).toBe('worker-restarted'), 5000);
  await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
});
