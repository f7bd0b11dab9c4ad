import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../primitives/errors.ts';
import { adopt } from '../adopt.ts';
import { evaluate, newOprfKey } from '../evaluate.ts';
import { operations } from '../operations.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import { hmac, multiple, ReferenceClient } from '../reference.ts';
import { release } from '../release.ts';
import { selfTest } from '../self-test.ts';
import { makeTestToken, pin, soPin } from '../testing.ts';
import { type Enrolled, enrol, recover } from '../testing-record.ts';
import { mac } from '../verify.ts';
import { findKeySets, isComplete, keyLabel, rotatedNames } from './key-sets.ts';
import { destroyKeySets, provisionReplica, readKeySets, readReplica, rotateKeys } from './provision.ts';
import { openReplica, type ReplicaToken } from './replica.ts';
import { kek, macKey } from './templates.ts';

// One replica's keys from its first set to its third, as an operator would have it: the tests build on each other.

const { location, provisioned } = makeTestToken(afterAll);
const { profile } = location;
const at = (epoch: number) => ({ ...location, epoch });
const rotate = (epoch: number) => rotateKeys({ ...at(epoch), pin: pin(), soPin: soPin() });
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

const expectRecovers = (token: ReplicaToken, record: Enrolled) => expect(recover(token, record)).toEqual(record.share);

function expectGone(token: ReplicaToken, record: Enrolled): void {
  const { client, auth } = record;
  const proofTranscript = randomBytes(32);
  const rest = { proofTranscript, proof: hmac(auth, proofTranscript), clientKey: client.publicKey, sessionTranscript: randomBytes(32) };
  expect(() => evaluate(token, record.evaluate)).toThrow(failsWith('KEY_MISSING'));
  expect(() => release(token, { ...record.release, ...rest })).toThrow(failsWith('KEY_MISSING'));
  expect(() => operations.verifyMac(token, { epoch: record.evaluate.epoch, ...record.evaluate.mac })).toThrow(failsWith('KEY_MISSING'));
}

const records: Record<number, Enrolled> = {};

describe('making the keys of another epoch', () => {
  it('makes them beside those that serve, which go on', () => {
    records[1] = opened(1, (token) => enrol(token, 1));
    const made = rotate(3);
    expect(made.keys.map(({ label }) => label)).toEqual(
      ['session/3', 'receipt', 'mac/3', 'kek-oprf/3', 'kek-auth/3', 'kek-release/3'].map((name) => `bkv/fleet/1/${name}`),
    );
    expect(made.identity.receiptKey).toEqual(provisioned.identity.receiptKey);
    expect(made.identity.sessionKey).not.toEqual(provisioned.identity.sessionKey);
    const rights = ({ keys }: typeof made) => keys.map(({ label: _label, ...key }) => key);
    expect(rights(made)).toEqual(rights(provisioned));
  });

  it('changes nothing for whoever serves an earlier epoch', () => {
    for (const epoch of [1, 2]) expect(readReplica(at(epoch), pin())).toEqual(provisioned);
    opened(2, (token) => {
      selfTest(token);
      expect(token.identity.keySets).toEqual([1]);
      expectRecovers(token, records[1] as Enrolled);
      records[2] = enrol(token, 2);
    });
  });

  it('is refused for an epoch whose keys are there, and where no replica is', () => {
    for (const epoch of [1, 3]) expect(() => rotate(epoch)).toThrow(failsWith('CONFIG_INVALID'));
    expect(() => rotateKeys({ ...at(3), index: 9, pin: pin(), soPin: soPin() })).toThrow(failsWith('KEY_MISSING'));
    expect(numbers()).toEqual([1, 3]);
  });

  it.runIf(profile.trusted !== 'none')('makes nothing without the officer', () => {
    expect(() => rotateKeys({ ...at(4), pin: pin() })).toThrow(failsWith('CONFIG_INVALID'));
    expect(() => rotateKeys({ ...at(4), pin: pin(), soPin: pin() })).toThrow(failsWith('PIN_REFUSED'));
    expect(numbers()).toEqual([1, 3]);
  });

  it('leaves nothing, wherever it fails', () => {
    const other = { ...at(2), index: 2, pin: pin(), soPin: soPin() };
    provisionReplica({ ...other, epoch: 1 });
    const rotateFailing = (after: number) => {
      let left = after;
      const allowedMechanisms = () => {
        if (left-- === 0) throw new Error('half-way');
        return profile.allowedMechanisms;
      };
      rotateKeys({ ...other, profile: Object.defineProperty({ ...profile }, 'allowedMechanisms', { get: allowedMechanisms }) });
    };
    // Three KEKs, session key, MAC key.
    for (let templates = 0; templates < 5; templates++) {
      expect(() => rotateFailing(templates)).toThrow('half-way');
      expect(readKeySets({ ...at(2), index: 2 }, pin()).map(({ number }) => number)).toEqual([1]);
    }
  });

  it('makes a whole set of half a one that a crash left', () => {
    opened(3, ({ session }) =>
      session.generateKey(plain(CKM.AES_KEY_GEN), {
        ...kek('release', { ...profile, allowedMechanisms: false }),
        label: keyLabel(location, 'kek-release', 4),
      }),
    );
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
      records[3] = enrol(token, 3);
      for (const record of Object.values(records)) expectRecovers(token, record);
    }));

  it('reads nothing under another epoch’s keys', () =>
    opened(3, (token) => {
      for (const [epoch, wrong] of [
        [1, 3],
        [3, 1],
      ] as const) {
        const { evaluate: request } = records[epoch] as Enrolled;
        expect(() => evaluate(token, { ...request, epoch: wrong })).toThrow(failsWith('MAC_REFUSED'));
      }
    }));

  it('opens nothing that was sealed to the session key before', () => {
    const client = new ReferenceClient(profile.sessionSuite);
    const before = provisioned.identity.sessionKey;
    opened(3, (token) => {
      const digest = randomBytes(32);
      const seal = (sessionTranscript: Buffer) => ({ sessionTranscript, sealed: client.seal(before, sessionTranscript, randomBytes(32)) });
      const { publicKey, wrappedKey, evaluated } = newOprfKey(token, multiple(2n));
      const sealed = { clientKey: client.publicKey, auth: seal(randomBytes(32)), release: seal(randomBytes(32)) };
      const request = { ticket: { digest, tag: mac(token, digest) }, ...sealed, wrappedKey, publicKey, point: multiple(2n), evaluated };
      expect(() => adopt(token, request)).toThrow(failsWith('SEAL_REFUSED'));
    });
  });

  it('does not start where a key that is in force is gone or is there twice, or an older one allows what it must not', () => {
    const doubled = opened(4, ({ session }) => {
      session.generateKey(plain(CKM.AES_KEY_GEN), {
        ...kek('auth', { ...profile, trusted: 'none' }),
        label: keyLabel(location, 'kek-auth', 4),
      });
      return () => openReplica(at(4), pin());
    });
    expect(doubled).toThrow(failsWith('KEY_MISSING'));
    opened(3, ({ session }) => {
      const [set] = findKeySets(session, location).filter(({ number }) => number === 4);
      for (const { name, object } of set?.objects ?? []) if (name === 'kek-auth') session.destroy(object);
    });
    expect(() => openReplica(at(4), pin())).toThrow(failsWith('KEY_MISSING'));
    opened(3, (token) => {
      const [lax] = token.older;
      const key = token.session.generateKey(plain(CKM.AES_KEY_GEN), {
        ...kek('auth', { ...profile, trusted: 'none' }),
        token: false,
        decrypt: true,
      });
      const older = [{ number: 1, keys: { ...lax?.keys, 'kek-auth': key } as NonNullable<typeof lax>['keys'] }];
      expect(() => selfTest({ ...token, older })).toThrow(failsWith('TOKEN_UNFIT'));
    });
  });
});

describe('destroying keys', () => {
  it('never touches the set in force, or a later one', () => {
    expect(() => destroyKeySets(at(2), pin(), 3, 'all')).toThrow(failsWith('INTERNAL'));
    expect(() => destroyKeySets(at(4), pin(), 3, 'all')).toThrow(failsWith('KEY_MISSING'));
    rotate(4);
    expect(numbers()).toEqual([1, 3, 4]);
  });

  it('takes the session keys alone, and then all that was stored is still read', () => {
    destroyKeySets(at(3), pin(), 3, 'session');
    const [first] = readKeySets(at(3), pin());
    expect(first?.objects.map(({ name }) => name).sort()).toEqual(rotatedNames.filter((name) => name !== 'session').sort());
    opened(3, (token) => {
      selfTest(token);
      for (const record of Object.values(records)) expectRecovers(token, record);
    });
  });

  it('closes what they stored, says so, and leaves the rest', () => {
    destroyKeySets(at(3), pin(), 3, 'all');
    expect(numbers()).toEqual([3, 4]);
    opened(3, (token) => {
      selfTest(token);
      expect(token.identity.keySets).toEqual([3]);
      for (const epoch of [1, 2]) expectGone(token, records[epoch] as Enrolled);
      expectRecovers(token, records[3] as Enrolled);
    });
    destroyKeySets(at(3), pin(), 3, 'all'); // again: there is nothing to do
  });

  it('is finished by doing it again, and half a set reads nothing, nor one with a key twice', () => {
    opened(4, ({ session }) => {
      const twice = { ...macKey(profile), label: keyLabel(location, 'mac', 3) };
      session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), twice);
    });
    opened(4, (token) => expectGone(token, records[3] as Enrolled));
    opened(4, ({ session }) => {
      const [set] = findKeySets(session, location);
      for (const { name, object } of set?.objects ?? []) if (name === 'mac') session.destroy(object);
    });
    opened(4, (token) => {
      expect(token.identity.keySets).toEqual([4]);
      selfTest(token);
      for (const epoch of [1, 3]) expectGone(token, records[epoch] as Enrolled);
    });
    destroyKeySets(at(4), pin(), 4, 'all');
    expect(numbers(4)).toEqual([4]);
  });
});
