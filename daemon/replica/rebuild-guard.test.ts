import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { split } from 'shamir-secret-sharing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { choices } from '../../primitives/choices.ts';
import { systemClock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Attempts, ErasureSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { GiveBackResponseSchema, type RecallResponse, RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import { preparedTranscript } from '../../protocol/transcripts.ts';
import { clientOf, enrolInput, RECORD } from '../../test/harness/soft-client.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { erase, live } from '../ledger/attempts.ts';
import { GuardStore } from '../ledger/guard-store.ts';
import type { Register } from '../ledger/register.ts';
import { renderSeedShare, type SeedShare } from '../ledger/seed-share.ts';
import type { StoredGeneration } from '../token/port.ts';
import { GrantVerifier } from '../vault/grants.ts';
import { receiptKeys } from '../vault/p256.ts';
import type { Participant } from './participant.ts';
import { rebuildGuard } from './rebuild-guard.ts';

const grants = new GrantVerifier(new Map(), systemClock);
const silent = async () => {
  throw new VaultError('OUTCOME_UNKNOWN', 'it does not answer');
};

describe('what etcd has from before a restore', () => {
  const rids = [1, 2, 3].map((i) => new Uint8Array(32).fill(i));
  const outdated = new VaultError('RECORD_OUTDATED', 'from before a restore');
  const recall = vi.fn(async () => create(RecallResponseSchema)); // nobody holds anything
  const read = vi.fn();
  const reconcile = vi.fn();
  const { statement } = new SoftFleet();

  const rebuild = (answering = [1, 3]) =>
    rebuildGuard({
      index: 2,
      statement,
      receiptKeys: new Map(),
      grants,
      store: {} as GuardStore,
      register: { rids: async () => rids, read, reconcile } as unknown as Register,
      token: { check: async () => {} },
      peers: [1, 3].map((index) => ({ index, calls: { recall: answering.includes(index) ? recall : silent } }) as unknown as Participant),
      clock: systemClock,
    });

  beforeEach(() => {
    vi.resetAllMocks();
    recall.mockImplementation(async () => create(RecallResponseSchema));
    read.mockResolvedValue(undefined);
  });

  it('is reconciled, and the rebuilding goes on', async () => {
    read.mockRejectedValueOnce(outdated);
    expect(await rebuild()).toEqual({ rebuilt: 0, left: 3 });
    expect(reconcile).toHaveBeenCalledExactlyOnceWith(rids[0], [expect.anything(), expect.anything()], { terms: statement.terms });
    expect(read).toHaveBeenCalledTimes(4);
  });

  it('is left where all others together cannot tell, and the rebuilding goes on', async () => {
    read.mockRejectedValueOnce(outdated);
    reconcile.mockRejectedValueOnce(new VaultError('NOT_ENOUGH_REPLICAS', 'cannot tell'));
    expect(await rebuild()).toEqual({ rebuilt: 0, left: 3 });
    expect(read).toHaveBeenCalledTimes(3);
  });

  it('is not reconciled with fewer than n−t+1 others', async () => {
    read.mockRejectedValueOnce(outdated);
    await expect(rebuild([1])).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    expect(reconcile).not.toHaveBeenCalled();
  });
});

describe('a seed', () => {
  // Five replicas, t = 3, enrolled a record. Replica 2 lost its guard; the others kept shares of its seed, and may give back anything.
  const OWN = 2;
  const OTHERS = [1, 3, 4, 5];
  const T = 3;
  const counted = [{ attempt: 1, point: { hash: new Uint8Array(32).fill(3), grant: 'granted' }, atMs: 1n }];

  let fleet: SoftFleet;
  let hashed: HashedBody;
  /** What else its sub-record was made of. */
  let rest: Pick<SeedShare, 'enrolledAtMs' | 'mac' | 'signature'>;
  let seed: Uint8Array<ArrayBuffer>;
  let directory: string;
  let store: GuardStore;
  /** What each gives back; one that is not here does not answer. */
  let kept: Map<number, SeedShare[]>;
  let recalled: RecallResponse;
  /** What etcd has. */
  let attempts: Attempts | undefined;
  const giveBack = vi.fn();
  const check = vi.fn();

  /** Those that serve the record, of the others. */
  let serving: number[];

  /** While `away` did not answer. */
  async function enrol(away: readonly number[] = []): Promise<void> {
    fleet = new SoftFleet({ replicas: 5 });
    for (const index of away) fleet.silent.add(index);
    serving = OTHERS.filter((index) => !away.includes(index));
    await clientOf(fleet).enroll(enrolInput());
    hashed = fleet.bodyOf(RECORD);
    const { body, bodyHash } = hashed;
    const { rid, g } = body;
    const signature = (index: number) =>
      Uint8Array.from(
        fleet.replica(index).sign(preparedTranscript({ fleet: body.fleet, epoch: 1, index, rid, g }, body.previous, bodyHash)),
      );
    rest = { enrolledAtMs: 77n, mac: new Uint8Array(32).fill(8), signature: signature(OWN) };
    const signed = [...serving, ...(away.length > 0 ? [OWN] : [])].map((index) => ({ index, signature: signature(index) }));
    recalled = create(RecallResponseSchema, { live: { body, prepared: signed }, counted });
    attempts = live(hashed, { incarnation: 1, holders: [1, 2, 3, 4, 5] });
    seed = Uint8Array.from(randomBytes(32));
    kept = await dealt();
  }

  beforeEach(async () => {
    await enrol();
    giveBack.mockReset().mockImplementation(async (index: number) => {
      const shares = kept.get(index) ?? (await silent());
      return create(GiveBackResponseSchema, { shares: shares.map(renderSeedShare) });
    });
    check.mockReset().mockImplementation(async (stored: StoredGeneration) => {
      const isRight = constantTimeEqual(stored.seed, seed) && constantTimeEqual(stored.mac, rest.mac) && stored.enrolledAtMs === 77n;
      if (!isRight) throw new VaultError('MAC_REFUSED', 'another seed');
    });
    directory = await mkdtemp(join(tmpdir(), 'rebuilt-'));
    const identity = { fleet: fleet.name, replica: OWN, incarnation: 2 };
    await GuardStore.create(join(directory, 'guard'), identity);
    store = await GuardStore.open(join(directory, 'guard'), identity);
  });

  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });

  /** One share for each of the others, as replica 2 deals them. */
  async function dealt(): Promise<Map<number, SeedShare[]>> {
    const { g, line, epoch, number } = hashed.body;
    const deal = Uint8Array.from(randomBytes(12));
    const shares = await split(seed, OTHERS.length, T);
    const shareOf = (i: number): SeedShare => ({
      g,
      line,
      epoch,
      number,
      deal,
      share: Uint8Array.from(shares[i] ?? []),
      ...rest,
      guard: 1,
    });
    return new Map(OTHERS.map((index, i) => [index, [shareOf(i)]]));
  }

  const shareOf = (index: number): SeedShare => (kept.get(index) as SeedShare[])[0] as SeedShare;
  const change = (index: number, changed: Partial<SeedShare>) => kept.set(index, [{ ...shareOf(index), ...changed }]);
  const flipped = (bytes: Uint8Array, at: number) => Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ 1 : byte));

  const rebuild = () =>
    rebuildGuard({
      index: OWN,
      statement: fleet.statement,
      receiptKeys: receiptKeys(fleet.statement),
      grants,
      store,
      register: { rids: async () => [hashed.body.rid], read: async () => attempts } as unknown as Register,
      token: { check },
      peers: OTHERS.map((index) => ({ index, calls: { recall: () => recall(index), giveBack: () => giveBack(index) } }) as never),
      clock: systemClock,
    });

  const recall = async (index: number) => (serving.includes(index) ? recalled : create(RecallResponseSchema));

  const restored = () => store.read(hashed.body.rid);

  async function expectRebuilt(): Promise<void> {
    expect(await rebuild()).toEqual({ rebuilt: 1, left: 0 });
    const { live: served } = await restored();
    expect(toHex(served?.subRecord.seed ?? new Uint8Array(0))).toBe(toHex(seed));
    expect(served?.subRecord).toMatchObject({ index: OWN, enrolledAtMs: 77n });
    expect([served?.subRecord.mac, served?.subRecord.signature].map((bytes) => toHex(bytes as Uint8Array))).toEqual(
      [rest.mac, rest.signature].map(toHex),
    );
  }

  async function expectLeft(): Promise<void> {
    expect(await rebuild()).toEqual({ rebuilt: 0, left: 1 });
    expect(await restored()).toMatchObject({ live: undefined, prepared: [] });
  }

  it.each(choices(OTHERS, T))('comes back of the shares that %i, %i and %i kept', async (...givers) => {
    for (const index of OTHERS) if (!givers.includes(index)) kept.delete(index);
    await expectRebuilt();
    expect(check).toHaveBeenCalledOnce();
  });

  it('comes back with what the others counted, with what shows it, and to be shared anew', async () => {
    await expectRebuilt();
    const guarded = await restored();
    expect([...guarded.counted].map(([attempt, { pointHash, grant }]) => [attempt, pointHash[0], grant])).toEqual([[1, 3, 'granted']]);
    expect(guarded.live?.prepared.map(({ index }) => index)).toEqual(OTHERS);
    expect(toHex(guarded.live?.bodyHash as Uint8Array)).toBe(toHex(hashed.bodyHash));
    expect(toHex(guarded.live?.madeWith as Uint8Array)).toBe('00'.repeat(8)); // by no ticket secret that anybody has
    const undealt: string[] = [];
    for await (const rid of store.undealt()) undealt.push(toHex(rid));
    expect(undealt).toEqual([toHex(hashed.body.rid)]);
  });

  it.each([
    ['where both others do that hold it', [1, 3], 1],
    ['where one of them does', [3], 1],
    ['not where none does', [], 0],
  ])('of a record that three of five hold comes back %s', async (_, left, rebuilt) => {
    await enrol([4, 5]);
    serving = left;
    expect(await rebuild()).toEqual({ rebuilt, left: 1 - rebuilt });
  });

  it.each([
    ['that never lost its guard, and so counted nothing', 1, 1],
    ['of which the guard was lost, with whatever it counted', 2, 0],
  ])('of a record that all five were to hold comes back where three do, beside others %s', async (_, incarnation, rebuilt) => {
    serving = [1];
    for (const index of [3, 4, 5]) Object.assign(fleet.statement.replicas[index - 1] as object, { guardIncarnation: incarnation });
    expect(await rebuild()).toEqual({ rebuilt, left: 1 - rebuilt });
  });

  it('of a run that was interrupted is asked for no more', async () => {
    await expectRebuilt();
    giveBack.mockClear();
    expect(await rebuild()).toEqual({ rebuilt: 1, left: 0 });
    expect(giveBack).not.toHaveBeenCalled();
  });

  describe.each(OTHERS)('where replica %i lies', (liar) => {
    it.each<[string, () => Partial<SeedShare>]>([
      ['a share with another first byte', () => ({ share: flipped(shareOf(liar).share, 0) })],
      ['a share with another last byte of y', () => ({ share: flipped(shareOf(liar).share, 31) })],
      ['a share at another x', () => ({ share: flipped(shareOf(liar).share, 32) })],
      ['a share at x = 0', () => ({ share: Uint8Array.from(shareOf(liar).share, (byte, i) => (i === 32 ? 0 : byte)) })],
      ['the share of another one', () => ({ share: shareOf(liar === 1 ? 3 : 1).share })],
      ['another MAC beside it', () => ({ mac: flipped(rest.mac, 0) })],
      ['another time beside it', () => ({ enrolledAtMs: 78n })],
      ['a share that is cut off', () => ({ share: shareOf(liar).share.slice(1) })],
    ])('%s is tried around', async (_, lie) => {
      change(liar, lie());
      await expectRebuilt();
    });

    it('a share of another deal is tried around, also where it says that it is of this one', async () => {
      const other = ((await dealt()).get(liar) as SeedShare[])[0] as SeedShare;
      kept.set(liar, [other]);
      await expectRebuilt();
    });

    it('a share of another deal that is called one of this is tried around', async () => {
      const other = ((await dealt()).get(liar) as SeedShare[])[0] as SeedShare;
      change(liar, { share: other.share });
      await expectRebuilt();
    });

    it('a share of another generation is passed over', async () => {
      kept.set(liar, [{ ...shareOf(liar), g: new Uint8Array(16).fill(7) }]);
      await expectRebuilt();
    });

    it('nothing that does not answer is waited for', async () => {
      kept.delete(liar);
      await expectRebuilt();
    });
  });

  it('comes back of the share of its generation, where one gives others as well', async () => {
    kept.delete(5);
    kept.set(1, [{ ...shareOf(1), g: new Uint8Array(16).fill(7), share: flipped(shareOf(1).share, 0) }, shareOf(1)]);
    await expectRebuilt();
  });

  describe('does not come back, and nothing is served for it', () => {
    it('of fewer than t shares', async () => {
      for (const index of [1, 3]) kept.delete(index);
      await expectLeft();
      for (const index of [4, 5]) kept.set(index, []);
      await expectLeft();
      expect(check).not.toHaveBeenCalled();
    });

    it('of t shares, one of which is wrong', async () => {
      kept.delete(1);
      change(3, { share: flipped(shareOf(3).share, 5) });
      await expectLeft();
    });

    it('of t shares, two of which are one', async () => {
      kept.delete(1);
      change(3, { share: shareOf(4).share });
      await expectLeft();
      expect(check).not.toHaveBeenCalled();
    });

    it('of shares of two deals, fewer than t of each', async () => {
      const again = await dealt();
      for (const index of [1, 3]) kept.set(index, again.get(index) as SeedShare[]);
      await expectLeft();
      expect(check).not.toHaveBeenCalled();
    });

    it('of shares of another generation', async () => {
      for (const index of [1, 3]) change(index, { g: new Uint8Array(16).fill(7) });
      await expectLeft();
    });

    it('where the token made no MAC of it', async () => {
      check.mockRejectedValue(new VaultError('MAC_REFUSED', 'of another token'));
      await expectLeft();
    });

    it('where etcd shows the record erased, or does not know it', async () => {
      const { next } = erase(attempts, hashed.body.g, create(ErasureSchema, { grant: 'granted' }));
      for (const said of [next, undefined]) {
        attempts = said;
        await expectLeft();
      }
      expect(giveBack).not.toHaveBeenCalled();
    });
  });

  it('comes back of shares as gRPC hands them over, whose bytes are Buffers', async () => {
    giveBack.mockImplementation(async (index: number) => {
      const response = create(GiveBackResponseSchema, { shares: (kept.get(index) ?? []).map(renderSeedShare) });
      return fromBinary(GiveBackResponseSchema, Buffer.from(toBinary(GiveBackResponseSchema, response)));
    });
    await expectRebuilt();
  });

  it('comes back with what this replica signed itself: another signature beside a right share is tried around', async () => {
    change(1, { signature: new Uint8Array(64).fill(1) });
    await expectRebuilt();
  });

  it('is no reason to go on where the token cannot tell', async () => {
    check.mockRejectedValue(new VaultError('KEY_MISSING', 'it has no such key'));
    await expect(rebuild()).rejects.toMatchObject({ code: 'KEY_MISSING' });
    expect((await restored()).live).toBeUndefined();
  });
});
