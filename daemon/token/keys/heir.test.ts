import pkcs11js from 'pkcs11js';
import { afterAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../primitives/errors.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import { findSlot, inModule, openModule } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import { selfTest } from '../self-test.ts';
import { unwrapStored, wrapSecret } from '../stored.ts';
import { makeTestToken, makeTokenBeside, pin, soPin } from '../testing.ts';
import { type Enrolled, enrol, recover } from '../testing-record.ts';
import { mac } from '../verify.ts';
import { giveUpHeir, inherit, makeHeir } from './heir.ts';
import { type Bequest, encodeBequest, encodeHeir, type Heir, parseBequest, parseHeir } from './heir-files.ts';
import { inheritedMac } from './heir-templates.ts';
import { deviations } from './key-record.ts';
import { findKeySets, keyLabel, lineageId, storageNames } from './key-sets.ts';
import { destroyKeySets, provisionReplica, readKeySets, rotateKeys } from './provision.ts';
import { asOf, bootLabel, openReplica, type ReplicaLocation, type ReplicaToken } from './replica.ts';
import { kek, macKey } from './templates.ts';
import { heirLabel } from './vacant.ts';

// One replica that moves to a second token, as an operator would have it: the tests build on each other.

const old = makeTestToken(afterAll);
const [first, second] = [old.location, makeTokenBeside(old, afterAll, 'heir')];
const { profile } = first;
const failsWith = (code: ErrorCode) => expect.objectContaining({ name: 'VaultError', code });
const pins = () => ({ pin: pin(), soPin: soPin() });
const asHeir = () => ({ ...second, pin: pin() });

/** As a daemon of that epoch has it, for one test. */
function opened<T>(location: ReplicaLocation, epoch: number, work: (token: ReplicaToken) => T): T {
  const token = openReplica({ ...location, epoch }, pin());
  try {
    return work(token);
  } finally {
    token.module.C_Finalize();
  }
}

/** A session on a token that may hold no replica. */
const inSession = <T>(location: ReplicaLocation, work: (session: TokenSession) => T): T =>
  inModule(location, (module) => {
    const session = new TokenSession(module, findSlot(module, location.tokenLabel));
    session.login(profile.userType, pin());
    return work(session);
  });

const setsOf = (location: ReplicaLocation) => inSession(location, (session) => findKeySets(session, location).map(({ number }) => number));
const waits = () => inSession(second, (session) => session.find({ label: heirLabel(second) }, 9).length === 2);

/** Labels of all keys that any wrapping key could carry out of the token. The boot record is no secret (profile.ts). */
const extractable = (session: TokenSession) =>
  [pkcs11js.CKO_SECRET_KEY, pkcs11js.CKO_PRIVATE_KEY].flatMap((kind) =>
    session
      .find({ class: kind }, 999)
      .filter((key) => session.read(key, 'extractable') !== false)
      .map((key) => session.read(key, 'label'))
      .filter((label) => label !== bootLabel(first)),
  );

/** Rotates with an heir; the bequest went through its file. */
function bequeath(epoch: number, heir: Heir): Bequest {
  let file: Uint8Array = new Uint8Array(0);
  const write = (bequest: Bequest) => {
    file = encodeBequest(bequest);
    // Sessions of one application share their objects: no draft is left, even before the session ends that made it.
    const module = openModule(first.module, first.initParameters);
    const session = new TokenSession(module, findSlot(module, first.tokenLabel));
    expect(extractable(session)).toEqual([]);
    session.close();
  };
  rotateKeys({ ...first, epoch, ...pins() }, { heir, write });
  return parseBequest(file);
}

const records: Record<number, Enrolled> = {};
let heir: Heir;
let bequest: Bequest;

describe('a token that waits for a bequest', () => {
  it('says who it is and where to wrap to, in one form', () => {
    heir = makeHeir(asHeir());
    expect(parseHeir(encodeHeir(heir))).toEqual(heir);
    expect(heir).toMatchObject({ fleet: 'fleet', index: 1, token: { manufacturer: old.provisioned.identity.manufacturer } });
    expect(() => parseHeir(Buffer.concat([encodeHeir(heir), Buffer.from(' ')]))).toThrow(failsWith('CONFIG_INVALID'));
    expect(waits()).toBe(true);
  });

  it('waits for one, and is nothing else meanwhile', () => {
    expect(makeHeir(asHeir())).toEqual(heir);
    expect(() => provisionReplica({ ...second, epoch: 2, ...pins() })).toThrow(failsWith('CONFIG_INVALID'));
  });

  it('cannot be the token that the replica is in', () => {
    expect(() => makeHeir({ ...first, pin: pin() })).toThrow(failsWith('CONFIG_INVALID'));
  });

  it('holds no other keys of the replica, not even half a set', () => {
    const label = keyLabel(second, 'mac', 4);
    inSession(second, (session) => session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...macKey(profile), label }));
    expect(() => makeHeir(asHeir())).toThrow(failsWith('CONFIG_INVALID'));
    inSession(second, (session) => session.destroy(session.findOne({ label }, label)));
  });

  // SoftHSM2 refuses all that its profile says.
  it.runIf(!profile.unwrapTemplate)('is refused where it does not hold to what its profile says', () => {
    giveUpHeir(asHeir());
    expect(() => makeHeir({ ...asHeir(), profile: { ...profile, unwrapTemplate: true } })).toThrow(failsWith('TOKEN_UNFIT'));
    expect(waits()).toBe(false);
    heir = makeHeir(asHeir());
  });

  it('can give up, and then nobody opens what was wrapped for it', () => {
    const before = bequeath(2, heir);
    giveUpHeir(asHeir());
    expect(waits()).toBe(false);
    expect(() => giveUpHeir(asHeir())).toThrow(failsWith('KEY_MISSING'));
    heir = makeHeir(asHeir());
    expect(() => inherit(asHeir(), before)).toThrow(failsWith('CONFIG_INVALID'));
    expect(() => inherit(asHeir(), { ...before, heir: heir.hash })).toThrow(failsWith('CONFIG_INVALID'));
    expect(setsOf(second)).toEqual([]);
  });
});

describe('making a set with an heir', () => {
  it('makes nothing for another replica’s heir, or where the bequest cannot be written', () => {
    const another = { ...heir, index: 2 };
    expect(() => bequeath(3, another)).toThrow(failsWith('CONFIG_INVALID'));
    const write = () => {
      throw new Error('disk full');
    };
    expect(() => rotateKeys({ ...first, epoch: 3, ...pins() }, { heir, write })).toThrow('disk full');
    expect(setsOf(first)).toEqual([1, 2]);
  });

  it('leaves what never leaves again, in a set that says that it is in two tokens', () => {
    records[2] = opened(first, 2, (token) => enrol(token, 2));
    bequest = bequeath(3, heir);
    opened(first, 3, (token) => {
      selfTest(token);
      for (const name of storageNames) {
        const flags = (['extractable', 'neverExtractable', 'modifiable'] as const).map((flag) =>
          token.session.read(token.keys[name], flag),
        );
        expect(flags, name).toEqual([false, false, false]);
        expect(token.session.read(token.keys[name], 'id')).toEqual(lineageId('bequeathed', name, 3, heir.hash));
      }
      records[3] = enrol(token, 3);
    });
    expect(inSession(first, extractable)).toEqual([]);
  });

  it('is the only way to keys that could once leave', () =>
    opened(first, 3, ({ session, ...token }) => {
      const template = { ...macKey(profile), token: false };
      const draft = session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...template, extractable: true, modifiable: true });
      const key = session.copy(draft, { extractable: false, modifiable: false });
      const withKey = { ...token, session, keys: { ...token.keys, mac: key } };
      expect(deviations(withKey, 'mac', { token: false })).toContain('neverExtractable');
    }));
});

describe('inheriting', () => {
  const flip = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte));
  const wrong: [string, (genuine: Bequest) => unknown][] = [
    ['of another epoch', (genuine) => ({ ...genuine, set: 4 })],
    ['for another replica', (genuine) => ({ ...genuine, index: 2 })],
    ['for another fleet', (genuine) => ({ ...genuine, fleet: 'other' })],
    ['for another heir', (genuine) => ({ ...genuine, heir: flip(genuine.heir) })],
    ...storageNames.map((name): (typeof wrong)[number] => [
      `with another ${name}`,
      (genuine) => ({ ...genuine, keys: { ...genuine.keys, [name]: flip(genuine.keys[name]) } }),
    ]),
    [
      'with two keys in each other’s place',
      ({ keys, ...rest }) => ({ ...rest, keys: { ...keys, 'kek-auth': keys['kek-release'], 'kek-release': keys['kek-auth'] } }),
    ],
    ['with the MAC key as a KEK', ({ keys, ...rest }) => ({ ...rest, keys: { ...keys, 'kek-release': keys.mac } })],
    ...(['auth', 'release', 'tag', 'proof'] as const).map((name): (typeof wrong)[number] => [
      `with another ${name}`,
      ({ check, ...rest }) => ({ ...rest, check: { ...check, [name]: flip(check[name]) } }),
    ]),
  ];

  it.each(wrong)('takes nothing from a bequest %s, and waits on', (_what, change) => {
    expect(() => inherit(asHeir(), change(bequest) as Bequest)).toThrow(failsWith('CONFIG_INVALID'));
    expect(setsOf(second)).toEqual([]);
    expect(waits()).toBe(true);
  });

  it.runIf(!profile.unwrapTemplate)('is undone where the token does not hold to what its profile says', () => {
    expect(() => inherit({ ...asHeir(), profile: { ...profile, unwrapTemplate: true } }, bequest)).toThrow(failsWith('TOKEN_UNFIT'));
    expect(setsOf(second)).toEqual([]);
    expect(waits()).toBe(true);
  });

  it('takes the keys in for reading only, destroys the pair, and is done once', () => {
    // What a crash left of the same bequest:
    inSession(second, (session) => {
      const label = keyLabel(second, 'mac', 3);
      session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), {
        ...inheritedMac(profile),
        valueLength: 32,
        label,
        id: lineageId('inherited', 'mac', 3, heir.hash),
      });
    });
    inherit(asHeir(), bequest);
    expect(setsOf(second)).toEqual([3]);
    expect(inSession(second, (session) => session.find({ label: heirLabel(second) }, 1))).toEqual([]);
    expect(() => inherit(asHeir(), bequest)).toThrow(failsWith('KEY_MISSING'));
    expect(inSession(second, extractable)).toEqual([]);
  });

  it('never twice under one number', () => {
    const again = makeHeir(asHeir());
    for (const heirHash of [again.hash, heir.hash])
      expect(() => inherit(asHeir(), { ...bequest, heir: heirHash })).toThrow(failsWith('CONFIG_INVALID'));
    expect(setsOf(second)).toEqual([3]);
    giveUpHeir(asHeir());
  });
});

describe('the token that takes over', () => {
  const taking = (epoch: number) => provisionReplica({ ...second, epoch, ...pins() });

  it('has keys of its own for a later epoch, beside those that it inherited', () => {
    expect(() => taking(3)).toThrow(failsWith('CONFIG_INVALID'));
    expect(taking(5).keys.map(({ label }) => label)).toEqual(
      ['session/5', 'receipt', 'mac/5', 'kek-oprf/5', 'kek-auth/5', 'kek-release/5'].map((name) => `bkv/fleet/1/${name}`),
    );
    expect(() => taking(6)).toThrow(failsWith('CONFIG_INVALID'));
    expect(() => makeHeir(asHeir())).toThrow(failsWith('CONFIG_INVALID'));
  });

  it('reads what was stored since the set with an heir, and nothing from before or of a set without one', () => {
    rotateKeys({ ...first, epoch: 4, ...pins() });
    records[4] = opened(first, 4, (token) => enrol(token, 4));
    opened(second, 5, (token) => {
      selfTest(token);
      expect(token.identity.keySets).toEqual([3, 5]);
      records[5] = enrol(token, 5);
      for (const epoch of [3, 5]) expect(recover(token, records[epoch] as Enrolled)).toEqual(records[epoch]?.share);
      expect(() => recover(token, records[2] as Enrolled)).toThrow(failsWith('KEY_MISSING'));
      expect(() => recover(token, records[4] as Enrolled)).toThrow(failsWith('MAC_REFUSED'));
    });
  });

  it('stores nothing and signs nothing with what it inherited', () =>
    opened(second, 5, (token) => {
      const inherited = asOf(token, 3);
      const { release } = records[5] as Enrolled;
      const secret = unwrapStored(token, 'release', release.wrappedRelease);
      expect(() => wrapSecret(inherited, 'release', secret)).toThrow(failsWith('TOKEN_FAULT'));
      expect(() => mac(inherited, new Uint8Array(32))).toThrow(failsWith('TOKEN_FAULT'));
    }));

  it('does not start where an inherited key allows more', () =>
    opened(second, 5, (token) => {
      const [inherited] = token.older;
      const lax = token.session.generateKey(plain(CKM.AES_KEY_GEN), {
        ...kek('release', profile),
        ...{ token: false, id: lineageId('inherited', 'kek-release', 3, heir.hash) },
      });
      const older = [{ number: 3, keys: { ...inherited?.keys, 'kek-release': lax } as NonNullable<typeof inherited>['keys'] }];
      expect(() => selfTest({ ...token, older })).toThrow(failsWith('TOKEN_UNFIT'));
    }));

  it('destroys inherited keys as any others', () => {
    destroyKeySets({ ...second, epoch: 5 }, pin(), 5, 'all');
    expect(readKeySets({ ...second, epoch: 5 }, pin()).map(({ number }) => number)).toEqual([5]);
    opened(second, 5, (token) => expect(() => recover(token, records[3] as Enrolled)).toThrow(failsWith('KEY_MISSING')));
  });
});
