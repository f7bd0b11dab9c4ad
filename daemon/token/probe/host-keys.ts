import { generateKeyPairSync } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { hostKey, keyTemplates, noUse, publicKey, spoken } from '../keys/templates.ts';
import type { Template } from '../pkcs11/attributes.ts';
import { refusedBy } from '../pkcs11/failure.ts';
import { CKM, cbc, cbcPadded, type Mechanism, oaep, plain, zeroIv } from '../pkcs11/mechanisms.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import type { AnyToken, Keep, Target, Way } from './probe.ts';

// What a hostile host has of its own: keys to wrap others with, and keys that nothing protects, to see that a call works at all.

type Make = (token: AnyToken, keep: Keep) => KeyHandle;

/** Of this session; or, where a device makes no such keys, in the token, where a probe that follows finds what this one leaves. */
function temporary(make: (place: Template) => KeyHandle): KeyHandle {
  try {
    return make({ token: false });
  } catch (error) {
    if (refusedBy(error) !== 'attribute') throw error;
    return make({ token: true, label: HOST_LABEL });
  }
}

export const HOST_LABEL = 'hsm probe';

const aesKey = ({ profile }: AnyToken, changes: Template): Template =>
  spoken('secretKey', profile, {
    class: pkcs11js.CKO_SECRET_KEY,
    keyType: pkcs11js.CKK_AES,
    private: profile.private.secretKey,
    ...noUse,
    ...changes,
  });

/** Its value is known to whoever imports it; a token in a FIPS mode may take none. */
const importedKey: Make = (token, keep) =>
  keep(temporary((place) => token.session.create(aesKey(token, { value: new Uint8Array(32), wrap: true, ...place }))));

const generateKey = (token: AnyToken, keep: Keep, changes: Template): KeyHandle =>
  keep(temporary((place) => token.session.generateKey(plain(CKM.AES_KEY_GEN), aesKey(token, { valueLength: 32, ...changes, ...place }))));

/** What it wraps it decrypts: as good as a value that is known. */
const generatedKey: Make = (token, keep) => generateKey(token, keep, { wrap: true, decrypt: true });

/** Where a token gives no key both uses. What is wrapped by it might be wrapped by one that the host knows. */
const generatedWrappingKey: Make = (token, keep) => generateKey(token, keep, { wrap: true });

/** Whose private half the host keeps. */
const hostRsaKey: Make = ({ session, profile }, keep) => {
  rsa ??= generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }) as { n: string; e: string };
  const { n, e } = rsa;
  return keep(session.create(hostKey(profile, Buffer.from(n, 'base64url'), Buffer.from(e, 'base64url'))));
};

let rsa: { n: string; e: string } | undefined;

/** By which a host may wrap under an AES key: what tokens of old and of now wrap keys with, and what the profile names. */
function aesMechanisms({ readout }: Profile): Mechanism[] {
  const known = [0x2109, 0x210a, 0x210b]; // AES_KEY_WRAP, AES_KEY_WRAP_PAD, AES_KEY_WRAP_KWP
  const own = readout.way === 'wrap-decrypt' && ![...known, CKM.AES_CBC].includes(readout.wrap) ? [readout] : [];
  return [
    ...known.map(plain),
    cbc(),
    cbcPadded(),
    plain(CKM.AES_ECB),
    ...own.map(({ wrap, iv }) => (iv === 'zero' ? zeroIv(wrap) : plain(wrap))),
  ];
}

const wrappings = (profile: Profile): { readonly mechanism: Mechanism; readonly make: Make }[] => [
  ...[importedKey, generatedKey, generatedWrappingKey].flatMap((make) => aesMechanisms(profile).map((mechanism) => ({ mechanism, make }))),
  ...(['sha1', 'sha256'] as const).map((hash) => ({ mechanism: oaep(hash), make: hostRsaKey })),
];

const WRAPPED_MAX = 512;

/** Every way to wrap `target`, once `unprotected`, which is of the same kind, was wrapped so. */
export const wrapWays =
  (target: (token: Target) => KeyHandle, unprotected: Make) =>
  (profile: Profile): Way[] =>
    wrappings(profile).map(
      ({ mechanism, make }): Way =>
        (token, keep) => {
          const wrappingKey = make(token, keep);
          const wrap = (key: KeyHandle) => token.session.wrap(mechanism, wrappingKey, key, WRAPPED_MAX);
          wrap(unprotected(token, keep));
          const key = target(token);
          return () => wrap(key);
        },
    );

const loose = { sensitive: false, extractable: true, copyable: true, modifiable: true } as const;

/** Without a list of mechanisms, which would forbid what a control is to show. */
const unlisted = ({ profile }: AnyToken): Profile => ({ ...profile, allowedMechanisms: false });

function newPair(token: AnyToken, keep: Keep, uses: Template): KeyHandle {
  const { session, profile } = token;
  const template = { ...keyTemplates.oprf(unlisted(token)), ...loose, derive: false, ...uses };
  return keep(
    temporary(({ token: isKept = false, ...label }) => {
      const open = { ...publicKey(profile, { token: isKept, verify: uses.sign === true }), ...label };
      const own = spoken('privateKey', profile, { ...template, token: isKept, ...label });
      const pair = session.generateKeyPair(plain(CKM.EC_KEY_PAIR_GEN), open, own);
      keep(pair.publicKey);
      return pair.privateKey;
    }),
  );
}

function newSecret(token: AnyToken, keep: Keep, uses: Template): KeyHandle {
  const { session, profile } = token;
  const template = { ...keyTemplates.mac(unlisted(token)), ...loose, ...uses };
  return keep(
    temporary((place) => session.generateKey(plain(profile.hmac.generate), spoken('secretKey', profile, { ...template, ...place }))),
  );
}

/** Keys of the kinds that the vault has, which nothing protects. */
export const unprotected = {
  deriving: (token: AnyToken, keep: Keep) => newPair(token, keep, { derive: true }),
  signing: (token: AnyToken, keep: Keep) => newPair(token, keep, { sign: true }),
  secret: (token: AnyToken, keep: Keep) => newSecret(token, keep, {}),
  derivingSecret: (token: AnyToken, keep: Keep) => newSecret(token, keep, { derive: true }),
} as const satisfies Record<string, Make>;

/** A key for what none of the four may do. */
export const cipherKey: Make = (token, keep) => generateKey(token, keep, { encrypt: true, decrypt: true });
