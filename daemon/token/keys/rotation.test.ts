import { afterAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../primitives/errors.ts';
import { makeTestToken, pin } from '../../../test/harness/test-token.ts';
import { selfTest } from '../self-test.ts';
import { type Enrolled, enrol, recover, recoveryOf } from '../software-device.ts';
import { evaluate, release } from '../steps.ts';
import { findKeySets, isComplete, type KeyName, keyLabel, rotatedNames } from './key-sets.ts';
import { makeKey } from './make-keys.ts';
import { destroyKeySets, provisionReplica, readKeySets, readReplica, rotateKeys } from './provision.ts';
import { openReplica, type ReplicaToken } from './replica.ts';

// One replica's keys from its first set to its fourth, as an operator would have it: the tests build on each other.

const { location, provisioned } = makeTestToken(afterAll);
const { profile } = location;
const at = (epoch: number) => ({ ...location, epoch });
const rotate = (epoch: number) => rotateKeys({ ...at(epoch), pin: pin() });
const failsWith = (code: ErrorCode) => expect.objectContaining({ name: 'VaultError', code });
const numbers = (epoch = 3) => readKeySets(at(epoch), pin()).map(({ number }) => number);

/** As a daemon of that epoch has it, for one test. */
function opened<T>(epoch: number, work: (token: ReplicaToken) => T): T {
  const token = openReplica(at(epoch), pin());
  try {
    return work(token);
  } finally {
    token.module.C_Finalize();
  }
}

const expectRecovers = (token: ReplicaToken, record: Enrolled) => expect(recover(token, record)).toEqual(record.opened);

function expectGone(token: ReplicaToken, record: Enrolled): void {
  const { request } = recoveryOf(token, record);
  expect(() => evaluate(token, { ...request, limit: 3, used: 1 })).toThrow(failsWith('KEY_MISSING'));
  expect(() => release(token, request)).toThrow(failsWith('KEY_MISSING'));
}

const makeOne = ({ session }: ReplicaToken, name: KeyName, set: number) =>
  makeKey(session, profile, name, { token: true, label: keyLabel(location, name, set) });

function destroyOne({ session }: ReplicaToken, name: KeyName, set: number): void {
  const [found] = findKeySets(session, location).filter(({ number }) => number === set);
  for (const object of found?.objects ?? []) if (object.name === name) session.destroy(object.object);
}

const records: Record<number, Enrolled> = {};

describe('making the keys of another epoch', () => {
  it('makes them beside those that serve, which go on', () => {
    records[1] = opened(1, enrol);
    const made = rotate(3);
    expect(made.keys.map(({ label }) => label)).toEqual(['oprf/3', 'release/3', 'mac/3', 'receipt'].map((name) => `bkv/fleet/1/${name}`));
    expect(made.identity.receiptKey).toEqual(provisioned.identity.receiptKey);
    expect(made.identity.oprfKey).not.toEqual(provisioned.identity.oprfKey);
    expect(made.identity.releaseKey).not.toEqual(provisioned.identity.releaseKey);
    const rights = ({ keys }: typeof made) => keys.map(({ label: _label, ...key }) => key);
    expect(rights(made)).toEqual(rights(provisioned));
  });

  it('changes nothing for whoever serves an earlier epoch', () => {
    for (const epoch of [1, 2]) expect(readReplica(at(epoch), pin())).toEqual(provisioned);
    opened(2, (token) => {
      selfTest(token);
      expect(token.identity.keySets).toEqual([1]);
      expectRecovers(token, records[1] as Enrolled);
      records[2] = enrol(token);
    });
  });

  it('is refused for an epoch whose keys are there, and where no replica is', () => {
    for (const epoch of [1, 3]) expect(() => rotate(epoch)).toThrow(failsWith('CONFIG_INVALID'));
    expect(() => rotateKeys({ ...at(3), index: 9, pin: pin() })).toThrow(failsWith('KEY_MISSING'));
    expect(numbers()).toEqual([1, 3]);
  });

  it('leaves nothing, wherever it fails', () => {
    const other = { ...at(2), index: 2, pin: pin() };
    provisionReplica({ ...other, epoch: 1 });
    const rotateFailing = (after: number) => {
      let left = after;
      const allowedMechanisms = () => {
        if (left-- === 0) throw new Error('half-way');
        return profile.allowedMechanisms;
      };
      rotateKeys({ ...other, profile: Object.defineProperty({ ...profile }, 'allowedMechanisms', { get: allowedMechanisms }) });
    };
    for (let templates = 0; templates < rotatedNames.length; templates++) {
      expect(() => rotateFailing(templates)).toThrow('half-way');
      expect(readKeySets({ ...at(2), index: 2 }, pin()).map(({ number }) => number)).toEqual([1]);
    }
  });

  it('makes a whole set of half a one that a crash left', () => {
    opened(3, (token) => void makeOne(token, 'mac', 4));
    expect(numbers()).toEqual([1, 3, 4]);
    expect(rotate(4).identity.keySets).toEqual([1, 3, 4]);
    expect(readKeySets(at(4), pin()).map(isComplete)).toEqual([true, true, true]);
  });
});

describe('a replica whose keys were rotated', () => {
  it('reads what each set stored, and stores with the one in force', () =>
    opened(3, (token) => {
      selfTest(token);
      expect(token.identity.keySets).toEqual([1, 3]);
      records[3] = enrol(token);
      for (const record of Object.values(records)) expectRecovers(token, record);
    }));

  it('reads nothing under another epoch’s keys', () =>
    opened(3, (token) => {
      for (const [epoch, wrong] of [
        [1, 3],
        [3, 1],
      ] as const) {
        const { request } = recoveryOf(token, records[epoch] as Enrolled);
        const generation = { ...request.generation, epoch: wrong };
        expect(() => evaluate(token, { ...request, generation, limit: 3, used: 1 })).toThrow(failsWith('MAC_REFUSED'));
        expect(() => release(token, { ...request, generation })).toThrow(failsWith('MAC_REFUSED'));
      }
    }));

  it.each(rotatedNames)('does not start where the %s key in force is there twice, or is gone', (name) => {
    opened(3, (token) => void makeOne(token, name, 4));
    expect(() => openReplica(at(4), pin())).toThrow(failsWith('KEY_MISSING'));
    opened(3, (token) => destroyOne(token, name, 4));
    expect(() => openReplica(at(4), pin())).toThrow(failsWith('KEY_MISSING'));
    rotate(4);
    opened(4, (token) => selfTest(token, 'short'));
  });

  it('does not start where a key of an older set allows what it must not', () =>
    opened(3, (token) => {
      const [lax] = makeKey(token.session, profile, 'mac', { token: false, derive: true });
      const older = [{ number: 1, keys: { ...token.keys, mac: lax as NonNullable<typeof lax> } }];
      expect(() => selfTest({ ...token, older })).toThrow(failsWith('TOKEN_UNFIT'));
    }));
});

describe('destroying keys', () => {
  it('never touches the set in force, or a later one', () => {
    expect(() => destroyKeySets(at(2), pin(), 3)).toThrow(failsWith('INTERNAL'));
    expect(numbers()).toEqual([1, 3, 4]);
  });

  it('closes what they stored, says so, and leaves the rest', () => {
    destroyKeySets(at(3), pin(), 3);
    expect(numbers()).toEqual([3, 4]);
    opened(3, (token) => {
      selfTest(token);
      expect(token.identity.keySets).toEqual([3]);
      for (const epoch of [1, 2]) expectGone(token, records[epoch] as Enrolled);
      expectRecovers(token, records[3] as Enrolled);
    });
    destroyKeySets(at(3), pin(), 3); // again: there is nothing to do
  });

  it('is finished by doing it again, and half a set reads nothing, nor one with a key twice', () => {
    opened(4, (token) => void makeOne(token, 'mac', 3));
    opened(4, (token) => expectGone(token, records[3] as Enrolled));
    opened(4, (token) => destroyOne(token, 'mac', 3));
    opened(4, (token) => {
      expect(token.identity.keySets).toEqual([4]);
      selfTest(token);
      for (const epoch of [1, 3]) expectGone(token, records[epoch] as Enrolled);
    });
    destroyKeySets(at(4), pin(), 4);
    expect(numbers(4)).toEqual([4]);
  });
});
