import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type SigningKind, signingPair, signingPrivateKey, signingPublicKey } from '../../daemon/token/keys/templates.ts';
import { CKM, plain } from '../../daemon/token/pkcs11/mechanisms.ts';
import { findSlot, type Module, openModule } from '../../daemon/token/pkcs11/module.ts';
import { type KeyHandle, TokenSession } from '../../daemon/token/pkcs11/session.ts';
import { modulePath, type Profile } from '../../daemon/token/profile.ts';
import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { Signer } from './signer.ts';

export interface SigningTokenOptions {
  readonly profile: Profile;
  /** Path of the PKCS#11 module; the profile's where none is given. */
  readonly module?: string | undefined;
  readonly label: string;
  readonly pin: SecretBytes;
}

/**
 * The token of a party that signs: operator, witness, custodian. For programs that sign now and then: calls are synchronous, in the
 * thread that asks. One object for a process and module, since closing finalises the module.
 */
export class SigningToken {
  readonly #module: Module;
  readonly #session: TokenSession;
  readonly #profile: Profile;

  /** Throws MODULE_MISSING, TOKEN_MISSING, PIN_REFUSED. */
  constructor({ profile, module, label, pin }: SigningTokenOptions) {
    this.#profile = profile;
    this.#module = openModule({ module: modulePath(profile, module), profile });
    try {
      this.#session = new TokenSession(this.#module, findSlot(this.#module, label));
      this.#session.login(profile.userType, pin);
    } catch (error) {
      this.#module.C_Finalize();
      throw error;
    }
  }

  /** Makes a pair that never leaves. Throws CONFIG_INVALID when the token has a key of this name: a key is made once. */
  make(kind: SigningKind, label: string): Signer {
    if (this.#session.find({ label }, 1).length > 0)
      throw new VaultError('CONFIG_INVALID', `The token holds a key ${label} already: nothing was made.`);
    const mechanism = plain(kind === 'p256' ? CKM.EC_KEY_PAIR_GEN : CKM.EC_EDWARDS_KEY_PAIR_GEN);
    this.#session.generateKeyPair(mechanism, signingPublicKey(kind, this.#profile, label), signingPrivateKey(kind, this.#profile, label));
    return this.signer(kind, label);
  }

  /** The key of this name. Throws KEY_MISSING for none, and for several. */
  signer(kind: SigningKind, label: string): Signer {
    const what = `${kind} key ${label}`;
    const privateKey = this.#session.findOne(signingPair(kind, 'private', label), what);
    const publicKey = this.#publicKey(kind, this.#session.findOne(signingPair(kind, 'public', label), what), what);
    return { kind, publicKey, sign: (message) => this.#sign(kind, privateKey, publicKey, message) };
  }

  close(): void {
    this.#session.close();
    this.#module.C_Finalize();
  }

  /** A token that signs wrongly, or with another key than it shows, is told from one that works before anybody gets the signature. */
  #sign(kind: SigningKind, key: KeyHandle, publicKey: Bytes, message: Uint8Array): Bytes {
    const signature =
      kind === 'p256'
        ? this.#session.sign(plain(CKM.ECDSA), key, sha256(message), 64) // the token hashes nothing: SoftHSM has no CKM_ECDSA_SHA256
        : this.#session.sign(plain(CKM.EDDSA), key, message, 64);
    const verifies =
      kind === 'p256' ? p256.verify(signature, message, publicKey, { lowS: false }) : ed25519.verify(signature, message, publicKey);
    if (!verifies) throw new VaultError('TOKEN_FAULT', 'The token’s signature does not verify with the public key it shows.');
    return signature;
  }

  /** CKA_EC_POINT is a DER OCTET STRING (SoftHSM, for both kinds) or the bare point, as some tokens have it: the length tells. */
  #publicKey(kind: SigningKind, key: KeyHandle, what: string): Bytes {
    const value = this.#session.read(key, 'ecPoint') ?? new Uint8Array();
    const length = kind === 'p256' ? 65 : 32;
    const isDer = value.length === length + 2 && value[0] === 0x04 && value[1] === length;
    const point = isDer ? value.slice(2) : value;
    if (point.length !== length) throw new VaultError('TOKEN_FAULT', `The token shows no public key for the ${what}.`);
    return point as Bytes;
  }
}
