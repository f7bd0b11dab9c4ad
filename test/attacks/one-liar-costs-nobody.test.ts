import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { eventually } from '../integration/support/eventually.ts';
import { LossyTransport, type Method } from '../integration/support/lossy-transport.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { lieAs, lies } from './lying-peer.ts';

// P4 against a quick liar: while t honest replicas answer, up to t−1 that lie, and answer first, cost nobody anything. Each call of the
// protocol is made once, and does its work.

const CODE = '493817 205514';
const policy = { limit: 5, coolDownMs: 0 };
const idOf = (name: string) => name.replaceAll(' ', '-');

describe.each([
  { replicas: 3, liars: [3] },
  { replicas: 5, liars: [4, 5] },
])('of $replicas replicas, $liars', ({ replicas, liars }) => {
  let own: OwnFleet;
  const honest = Array.from({ length: replicas - liars.length }, (_, i) => i + 1);
  const keys = new Map<string, Uint8Array>();

  beforeAll(async () => {
    own = await startOwnFleet({ replicas, etcdMembers: 1 });
    const all = Array.from({ length: replicas }, (_, i) => i + 1).join();
    for (const { name } of lies) expect(await eventually(all, async () => (await enroll(idOf(name))).join())).toBe(all);
    await Promise.all(liars.map((index) => own.fleet.replica(index).process.stop()));
  });

  afterAll(() => own?.stop());

  /** A device whose frontend knows replica 1 alone, and what it sent. */
  function device() {
    const { addresses } = own.world.client;
    const lossy = new LossyTransport(own.world.transport({ ...own.world.client, addresses: addresses.slice(0, 1) }));
    const sent = () => lossy.sent.map(({ method }) => method).filter((method) => method !== 'getFleet' && method !== 'describeRecord');
    return { vault: own.world.device(lossy.transport), sent: sent as () => Method[] };
  }

  async function enroll(recordId: string): Promise<readonly number[]> {
    const backupKey = randomBytes(32);
    keys.set(recordId, backupKey);
    const record = { recordId, code: CODE, backupKey: new SecretBytes(backupKey), policy };
    return (await own.world.device().enroll(record)).holders;
  }

  describe.each(lies)('that $name', (lie) => {
    const recordId = idOf(lie.name);
    let ends: (() => void)[] = [];
    beforeAll(async () => {
      ends = await Promise.all(liars.map((index) => lieAs(placesOf(own.fleet), index, lie)));
      await eventually(true, async () => own.fleet.replica(1).process.log().includes('a replica is not believed') || probe());
    });
    afterAll(() => {
      for (const end of ends) end();
    });

    /** Replica 1 has connected to the liars once it says that it does not believe them. */
    async function probe(): Promise<boolean> {
      await refusalOf(own.world.device().recover({ recordId, code: 'wrong', renew: false }));
      return false;
    }

    test('an attempt is counted once, and the right code opens the record', async () => {
      const { vault, sent } = device();
      const recovered = await vault.recover({ recordId, code: CODE, renew: false });
      expect(recovered.backupKey.expose()).toEqual(new Uint8Array(keys.get(recordId) as Uint8Array));
      expect(sent()).toEqual(['beginRecovery', 'finishRecovery']);
    });

    test('a wrong code is told to be wrong, and costs one attempt', async () => {
      const { vault } = device();
      const before = (await vault.describe(recordId)).attemptsUsed;
      expect(await refusalOf(vault.recover({ recordId, code: 'another code' }))).toBe('WRONG_CODE');
      expect((await vault.describe(recordId)).attemptsUsed).toBe(before + 1);
    });

    test('a record is enrolled with all that are honest, and replaced', async () => {
      const { vault, sent } = device();
      const record = { recordId: `${recordId}/enrolled`, code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy };
      expect((await vault.enroll(record)).holders).toEqual(honest);
      expect((await vault.enroll({ ...record, code: 'another code' })).holders).toEqual(honest);
      expect(sent()).toEqual(['beginEnrollment', 'finishEnrollment', 'beginEnrollment', 'finishEnrollment']);
    });

    test('a record is erased', async () => {
      const { vault, sent } = device();
      const { erased, pending } = await vault.erase(recordId);
      expect(erased).toEqual([]); // not even where a liar signed
      expect(pending).toEqual(expect.arrayContaining(honest));
      expect(sent()).toEqual(['eraseRecord']);
      expect((await vault.describe(recordId)).state).toBe('erased');
    });
  });
});
