import { constants, generateKeyPairSync, privateDecrypt } from 'node:crypto';
import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { hostKey as hostKeyTemplate, throwAwayKey } from './keys/templates.ts';
import { CKM, oaep, plain, zeroIv } from './pkcs11/mechanisms.ts';
import type { KeyHandle, TokenSession } from './pkcs11/session.ts';
import type { Profile } from './profile.ts';

// How x(k·Q), which the host is to see, leaves the token: three ways, of which each vendor allows one at least.

type Readout = Profile['readout'];
type Way<Name extends Readout['way']> = Extract<Readout, { way: Name }>;

/** The value of a key that C_DeriveKey made, in whatever length the token gives it; undefined where it shows none. */
export function readOut(session: TokenSession, profile: Profile, derived: KeyHandle): Bytes | undefined {
  const { readout } = profile;
  switch (readout.way) {
    case 'read':
      return session.read(derived, 'value') as Bytes | undefined;
    case 'wrap-decrypt':
      return wrapAndDecrypt(session, profile, readout, derived);
    case 'oaep':
      return wrapToHost(session, profile, readout, derived);
  }
}

/** It leaves under a key of the token that was made to decrypt it again. */
function wrapAndDecrypt(session: TokenSession, profile: Profile, { wrap, decrypt, iv }: Way<'wrap-decrypt'>, derived: KeyHandle): Bytes {
  const key = throwAwayKeys.of(session, () => session.generateKey(plain(CKM.AES_KEY_GEN), throwAwayKey(profile)));
  const by = iv === 'zero' ? zeroIv : plain;
  return session.decrypt(by(decrypt), key, session.wrap(by(wrap), key, derived, 64));
}

/** It leaves under a key of the host's. */
function wrapToHost(session: TokenSession, profile: Profile, { hash }: Way<'oaep'>, derived: KeyHandle): Bytes {
  host ??= makeHostKey();
  const { modulus, exponent, privateKey: key } = host;
  const publicKey = hostKeys.of(session, () => session.create(hostKeyTemplate(profile, modulus, exponent)));
  const wrapped = session.wrap(oaep(hash), publicKey, derived, modulus.length);
  try {
    return new Uint8Array(privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash }, wrapped));
  } catch (cause) {
    throw new VaultError('TOKEN_FAULT', `What the token wrapped by RSA-OAEP does not open with ${hash}.`, { cause });
  }
}

/** Of this thread, for as long as it runs: 2048 bits are enough for what lives for one call. */
let host: ReturnType<typeof makeHostKey> | undefined;

function makeHostKey() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { n, e } = publicKey.export({ format: 'jwk' }) as { n: string; e: string };
  return { privateKey, modulus: Buffer.from(n, 'base64url'), exponent: Buffer.from(e, 'base64url') };
}

/** A session object that is made once for each session, and ends with it: a network HSM pays for each call. */
class OncePerSession {
  readonly #keys = new WeakMap<TokenSession, KeyHandle>();

  of(session: TokenSession, make: () => KeyHandle): KeyHandle {
    const key = this.#keys.get(session) ?? make();
    this.#keys.set(session, key);
    return key;
  }
}

const throwAwayKeys = new OncePerSession();
const hostKeys = new OncePerSession();
