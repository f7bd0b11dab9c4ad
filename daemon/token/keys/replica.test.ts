import pkcs11js from 'pkcs11js';
import { afterAll, describe, expect, it } from 'vitest';
import { type Bytes, fromHex } from '../../../primitives/bytes.ts';
import type { ErrorCode } from '../../../primitives/errors.ts';
import { makeTestToken, pin } from '../../../test/harness/test-token.ts';
import { decompress } from '../curve.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, plain } from '../pkcs11/mechanisms.ts';
import { selfTest } from '../self-test.ts';
import { type KeyName, keyClasses, keyLabel, keyNames, type PairName, pairNames } from './key-sets.ts';
import { makeKey, makeKeySet, makeOwn } from './make-keys.ts';
import { inForm } from './public-point.ts';
import { openReplica, openReplicaIn, type ReplicaToken } from './replica.ts';
import { keyTemplates, publicKey, spoken } from './templates.ts';

const { location } = makeTestToken(afterAll);
const { profile } = location;

type Spoil = (token: ReplicaToken) => void;

const opened = openReplica(location, pin());
afterAll(() => opened.module.C_Finalize());

let replicas = 1;

/** Opens and tests a replica of this token, one for each test, that was spoiled after it was made. */
function openSpoiled(spoil: Spoil): void {
  const options = { ...location, index: ++replicas, pin: pin() };
  makeKeySet(opened.session, options, 1, []);
  makeOwn(opened.session, options, 'receipt', 1);
  const open = () => openReplicaIn(opened.module, options, undefined);
  const sound = open();
  spoil(sound);
  sound.session.close();
  const token = open();
  try {
    selfTest(token);
  } finally {
    token.session.close();
  }
}

const own = ({ session, fleet, index }: ReplicaToken, name: KeyName, kind = keyClasses[name]) =>
  session.findOne({ class: kind, label: keyLabel({ fleet, index }, name, 1) }, name);

const take = (token: ReplicaToken, name: KeyName, kind?: number): void => token.session.destroy(own(token, name, kind));

const publicHalf = (token: ReplicaToken, name: PairName, changes: Template = {}): Template => ({
  ...publicKey(profile, { token: true, verify: name === 'receipt' }),
  label: keyLabel(token, name, 1),
  ...changes,
});

/** Says of a key that its public half is this point. */
function say(token: ReplicaToken, name: PairName, point: Bytes): void {
  take(token, name, pkcs11js.CKO_PUBLIC_KEY);
  token.session.create(publicHalf(token, name, { ecPoint: inForm(profile.readPoint, decompress(point, 'a point')) }));
}

const again = (token: ReplicaToken, name: KeyName, changes: Template = {}): void =>
  void makeKey(token.session, profile, name, { token: true, label: keyLabel(token, name, 1), ...changes });

function onP384(token: ReplicaToken, name: PairName): void {
  take(token, name);
  take(token, name, pkcs11js.CKO_PUBLIC_KEY);
  const template = { ...keyTemplates[name](profile), label: keyLabel(token, name, 1) };
  const ecParams = fromHex('06052b81040022', 'secp384r1');
  token.session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), publicHalf(token, name, { ecParams }), spoken('privateKey', profile, template));
}

const negated = (point: Uint8Array): Bytes => Uint8Array.of((point[0] as number) ^ 1, ...point.subarray(1));

const cases: [string, Spoil, ErrorCode, RegExp][] = [
  ...keyNames.map((name): [string, Spoil, ErrorCode, RegExp] => [
    `without its ${name} key`,
    (token) => take(token, name),
    'KEY_MISSING',
    new RegExp(`no key .*/${name}`),
  ]),
  ...keyNames.map((name): [string, Spoil, ErrorCode, RegExp] => [
    `with two ${name} keys`,
    (token) => again(token, name),
    'KEY_MISSING',
    new RegExp(`more than one key .*/${name}`),
  ]),
  ...pairNames.map((name): [string, Spoil, ErrorCode, RegExp] => [
    `without the public half of its ${name} key`,
    (token) => take(token, name, pkcs11js.CKO_PUBLIC_KEY),
    'KEY_MISSING',
    new RegExp(`no public key .*/${name}`),
  ]),
  ...pairNames.map((name): [string, Spoil, ErrorCode, RegExp] => [
    `whose ${name} key is of another curve`,
    (token) => onP384(token, name),
    'TOKEN_UNFIT',
    new RegExp(`/${name} is no key of the curve P-256`),
  ]),
  ['with K = R', (token) => say(token, 'release', token.identity.oprfKey), 'TOKEN_UNFIT', /same/],
  ['with K = −R', (token) => say(token, 'release', negated(token.identity.oprfKey)), 'TOKEN_UNFIT', /same/],
  ['with V = K', (token) => say(token, 'receipt', token.identity.oprfKey), 'TOKEN_UNFIT', /same/],
];

describe('a replica', () => {
  it('opens and passes unspoiled', () => expect(() => openSpoiled(() => {})).not.toThrow());

  it.each(cases)('%s does not open', (_, spoil, code, message) =>
    expect(() => openSpoiled(spoil)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) })),
  );

  it.each(keyNames)('with an extractable %s key does not serve', (name) => {
    const extractable: Spoil = (token) => {
      take(token, name);
      if (name !== 'mac') take(token, name, pkcs11js.CKO_PUBLIC_KEY);
      again(token, name, { extractable: true });
    };
    expect(() => openSpoiled(extractable)).toThrow(
      expect.objectContaining({ code: 'TOKEN_UNFIT', message: expect.stringMatching(new RegExp(`${name} .*extractable`)) }),
    );
  });

  it('of a profile that reads points in another form does not open, and the field is named', () => {
    const readPoint = profile.readPoint === 'der' ? 'raw' : 'der';
    expect(() => openReplica({ ...location, profile: { ...profile, readPoint } }, pin())).toThrow(
      expect.objectContaining({ code: 'TOKEN_UNFIT', message: expect.stringContaining(`readPoint: ${readPoint}`) }),
    );
  });
});
