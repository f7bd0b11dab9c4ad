import { decompress } from '../curve.ts';
import { type KeyName, keyNames } from '../keys/key-sets.ts';
import { inForm } from '../keys/public-point.ts';
import { derivedX } from '../keys/templates.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { CKM, cbc, ctr, ecdh, ecdhSha256, type Mechanism, plain, simpleDerivations } from '../pkcs11/mechanisms.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import { multiple } from '../reference.ts';
import { cipherKey, unprotected } from './host-keys.ts';
import type { AnyToken, Probe, Way } from './probe.ts';

// What a host may try to do with a key that the key is not for.

const ciphers = [plain(CKM.AES_ECB), cbc(), ctr()];

const enciphering = (name: KeyName): Probe[] =>
  (['beginEncrypt', 'beginDecrypt'] as const).map((begin) => ({
    name: `${begin === 'beginEncrypt' ? 'encrypt' : 'decrypt'} with ${name}`,
    stoppedBy: 'attributes',
    ways: () =>
      ciphers.map(
        (mechanism): Way =>
          (token, keep) => {
            const use = (key: KeyHandle) => token.session[begin](mechanism, key);
            use(cipherKey(token, keep));
            return () => use(token.keys[name]);
          },
      ),
  }));

const DIGEST = new Uint8Array(32);

/** By one mechanism with one key, after an unprotected key signed so. */
const signWay =
  (mechanism: number, name: KeyName, kind: 'signing' | 'secret', length: number): Way =>
  (token, keep) => {
    const sign = (key: KeyHandle) => token.session.sign(plain(mechanism), key, DIGEST, length);
    sign(unprotected[kind](token, keep));
    return () => sign(token.keys[name]);
  };

const signing = (name: 'oprf' | 'release'): Probe => ({
  name: `sign with ${name}`,
  stoppedBy: 'attributes',
  ways: () => [signWay(CKM.ECDSA, name, 'signing', 64), signWay(ECDSA_SHA256, name, 'signing', 64)],
});

const ECDSA_SHA256 = 0x1044;
const SHA_1_HMAC = 0x221;

const generator = ({ profile }: AnyToken) => inForm(profile.derivePoint, decompress(multiple(1n), 'G'));

/** A token may know ECDH only with a KDF, or show no derived value: that says nothing about the receipt key. */
const ecdhWay =
  (mechanism: (token: AnyToken) => Mechanism, template: (profile: Profile) => Template): Way =>
  (token, keep) => {
    const derive = (key: KeyHandle) => keep(token.session.derive(mechanism(token), key, template(token.profile)));
    derive(unprotected.deriving(token, keep));
    return () => derive(token.keys.receipt);
  };

const rawEcdh = (token: AnyToken): Mechanism => ecdh(generator(token));
const kdfEcdh = (token: AnyToken): Mechanism => ecdhSha256(generator(token), DIGEST);
const hidden = (profile: Profile): Template => ({ ...derivedX(profile), sensitive: true });

/** Shorter than the key: EXTRACT_KEY_FROM_KEY gives it away so, piece by piece. */
const piece = (template: Template): Template => ({ ...template, valueLength: 8 });

const cutWay =
  (i: number, template: (profile: Profile) => Template): Way =>
  (token, keep) => {
    const derive = (key: KeyHandle) =>
      keep(token.session.derive(simpleDerivations(key)[i] as Mechanism, key, piece(template(token.profile))));
    derive(unprotected.derivingSecret(token, keep));
    return () => derive(token.keys.mac);
  };

export const useProbes: readonly Probe[] = [
  signing('oprf'),
  signing('release'),
  {
    name: 'derive with receipt',
    stoppedBy: 'derive',
    ways: () => [ecdhWay(rawEcdh, derivedX), ecdhWay(rawEcdh, hidden), ecdhWay(kdfEcdh, hidden)],
  },
  {
    name: 'derive from mac',
    stoppedBy: 'derive',
    ways: () => [derivedX, hidden].flatMap((template) => Array.from({ length: SIMPLE }, (_, i) => cutWay(i, template))),
  },
  { name: 'sign with mac by another hash', stoppedBy: 'allowedMechanisms', ways: () => [signWay(SHA_1_HMAC, 'mac', 'secret', 20)] },
  {
    name: 'sign with receipt by another mechanism',
    stoppedBy: 'allowedMechanisms',
    ways: () => [signWay(ECDSA_SHA256, 'receipt', 'signing', 64)],
  },
  ...keyNames.flatMap(enciphering),
];

const SIMPLE = 6; // simpleDerivations
