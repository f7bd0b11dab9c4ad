import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publicKeyOf, randomScalar } from '../../client/curve.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { begin } from '../integration/support/draft.ts';
import { eventually } from '../integration/support/eventually.ts';
import { LossyTransport, type Method } from '../integration/support/lossy-transport.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { type Liar, lieAs, lies } from './lying-peer.ts';

// P4 against a quick liar: while t honest replicas answer, up to t−1 that lie, and answer first, cost nobody anything. Each call of the
// protocol is made once, and does its work.

const CODE = '493817 205514';
const policy = { limit: 5, coolDownMs: 0 };
const spentOf = (recordId: string) => `${recordId}/spent`;
const idOf = (name: string) => name.replaceAll(' ', '-');

describe.each([
  { replicas: 3, liars: [3] },
  { replicas: 5, liars: [4, 5] },
])('of $replicas replicas, $liars', ({ replicas, liars }) => {
  let own: OwnFleet;
  const honest = Array.from({ length: replicas - liars.length }, (_, i) => i + 1);
  const keys = new Map<string, Uint8Array>();

  beforeAll(async () => {
    own = await startOwnFleet({ replicas, etcdMembers: 1, settings: { erase_grace_ms: 1000, sweep_interval_ms: 200 } });
    const all = Array.from({ length: replicas }, (_, i) => i + 1).join();
    for (const recordId of lies.map(({ name }) => idOf(name))) {
      expect(await eventually(all, async () => (await enroll(recordId)).join())).toBe(all);
      expect(await eventually(all, async () => (await enroll(spentOf(recordId), 1)).join())).toBe(all);
    }
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

  async function enroll(recordId: string, limit = policy.limit): Promise<readonly number[]> {
    const backupKey = keys.get(recordId) ?? randomBytes(32);
    keys.set(recordId, backupKey);
    const record = { recordId, code: CODE, backupKey: new SecretBytes(Buffer.from(backupKey)), policy: { ...policy, limit } };
    return (await own.world.device().enroll(record)).holders;
  }

  describe.each(lies)('that $name', (lie) => {
    const recordId = idOf(lie.name);
    let liarsNow: Liar[] = [];
    beforeAll(async () => {
      liarsNow = await Promise.all(liars.map((index) => lieAs(placesOf(own.fleet), index, lie)));
      expect(await eventually(true, isAsked)).toBe(true);
    });
    afterAll(() => {
      for (const { end } of liarsNow) end();
    });

    /** Replica 1 has connected to all of them. An offer stores nothing, and asks everybody. */
    async function isAsked(): Promise<boolean> {
      const point = publicKeyOf(randomScalar().expose());
      await begin(own.world, { recordId: 'anybody', g: randomBytes(16), point, proofKey: point });
      return liarsNow.every(({ asked }) => asked() > 0);
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
      expect(sent().filter((method) => method !== 'beginEnrollment')).toEqual(['finishEnrollment', 'finishEnrollment']); // offers are asked for of others, too
    });

    test('a record that is spent is erased', async () => {
      const { vault } = device();
      expect(await refusalOf(vault.recover({ recordId: spentOf(recordId), code: 'another code' }))).toBe('WRONG_CODE');
      const state = async () => (await vault.describe(spentOf(recordId))).state;
      expect(await eventually('erased', state)).toBe('erased');
    });

    test('a record is erased', async () => {
      const { vault, sent } = device();
      const { erased, pending } = await vault.erase(recordId);
      expect(erased).toEqual([]); // not even where a liar signed
      expect(pending).toEqual(expect.arrayContaining(honest));
      expect(sent()).toEqual(Array(own.world.statement.threshold).fill('eraseRecord')); // each coordinator may be the one that does nothing
      expect((await vault.describe(recordId)).state).toBe('erased');
    });
  });
});
