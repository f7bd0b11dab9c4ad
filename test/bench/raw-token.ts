import pkcs11js from 'pkcs11js';
import { decompress, prepare, uncompressed } from '../../daemon/token/curve.ts';
import { kekMechanism, readableX, sessionWrapKey, sharedSecret, stored } from '../../daemon/token/keys/templates.ts';
import { attributeType, encodeTemplate } from '../../daemon/token/pkcs11/attributes.ts';
import { CKM, cbcEncryptData, ecdh, plain } from '../../daemon/token/pkcs11/mechanisms.ts';
import { findSlot } from '../../daemon/token/pkcs11/module.ts';
import { SEALED_LENGTH } from '../../daemon/token/stored.ts';
import type { TokenStage } from './token-stage.ts';

type Key = Buffer;

/** What a replica's token does in one recovery: the calls into the module alone, on one session of this thread, all else made beforehand. */
export class RawToken {
  readonly #module: pkcs11js.PKCS11;
  readonly #session: Buffer;
  readonly #keys: TokenStage['token']['keys'];
  readonly #evaluation;
  readonly #release;
  readonly #digest: Buffer;

  constructor({ token, location, requests }: TokenStage) {
    const { module, keys, profile } = token;
    this.#module = module;
    this.#keys = keys;
    this.#session = module.C_OpenSession(findSlot(module, location.tokenLabel), pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
    const { evaluate, release } = requests;
    const point = decompress(evaluate.point, 'the point');
    this.#evaluation = {
      ...buffersOf(evaluate.mac),
      kek: plain(kekMechanism('oprf', profile)),
      wrapped: Buffer.from(evaluate.wrappedKey),
      key: encodeTemplate(stored('oprf', profile)),
      derivations: [point, prepare(point, decompress(evaluate.publicKey, 'the public key')).sum].map((p) => ecdh(uncompressed(p))),
      x: encodeTemplate(readableX),
    };
    this.#release = {
      ...buffersOf(release.mac),
      secret: plain(profile.wrap.secret),
      wrappedAuth: Buffer.from(release.wrappedAuth),
      auth: encodeTemplate(stored('auth', profile)),
      proofTranscript: Buffer.from(release.proofTranscript),
      proof: Buffer.from(release.proof),
      exchange: ecdh(uncompressed(decompress(release.clientKey, 'the client key'))),
      shared: encodeTemplate(sharedSecret),
      derivation: cbcEncryptData(new Uint8Array(16), release.sessionTranscript),
      wrapKey: encodeTemplate(sessionWrapKey(profile)),
      wrappedShare: Buffer.from(release.wrappedRelease),
      share: encodeTemplate(stored('release', profile)),
    };
    this.#digest = Buffer.from(requests.sign);
  }

  /** A vote's signature, or a receipt's. */
  sign(): void {
    this.#module.C_SignInit(this.#session, plain(CKM.ECDSA), this.#keys.receipt);
    this.#module.C_Sign(this.#session, this.#digest, Buffer.alloc(64));
  }

  /** The sub-record's, before its blobs are unwrapped. */
  verifyMac(): void {
    this.#verify(this.#keys.mac, this.#evaluation.digest, this.#evaluation.tag);
  }

  /** One unwrap, two derivations. */
  evaluate(): void {
    const { kek, wrapped, key: template, derivations, x } = this.#evaluation;
    const key = this.#module.C_UnwrapKey(this.#session, kek, this.#keys['kek-oprf'], wrapped, template);
    for (const derivation of derivations) {
      const derived = this.#module.C_DeriveKey(this.#session, derivation, key, x);
      this.#module.C_GetAttributeValue(this.#session, derived, [{ type: attributeType('value') }]);
      this.#destroy(derived);
    }
    this.#destroy(key);
  }

  /** MAC, proof, session key, share. */
  release(): void {
    const r = this.#release;
    const module = this.#module;
    this.#verify(this.#keys.mac, r.digest, r.tag);
    const auth = module.C_UnwrapKey(this.#session, r.secret, this.#keys['kek-auth'], r.wrappedAuth, r.auth);
    this.#verify(auth, r.proofTranscript, r.proof);
    this.#destroy(auth);
    const shared = module.C_DeriveKey(this.#session, r.exchange, this.#keys.session, r.shared);
    const wrapKey = module.C_DeriveKey(this.#session, r.derivation, shared, r.wrapKey);
    this.#destroy(shared);
    const share = module.C_UnwrapKey(this.#session, r.secret, this.#keys['kek-release'], r.wrappedShare, r.share);
    module.C_WrapKey(this.#session, r.secret, wrapKey, share, Buffer.alloc(SEALED_LENGTH));
    this.#destroy(share);
    this.#destroy(wrapKey);
  }

  close(): void {
    this.#module.C_CloseSession(this.#session);
  }

  #verify(key: Key, data: Buffer, tag: Buffer): void {
    this.#module.C_VerifyInit(this.#session, plain(CKM.SHA256_HMAC), key);
    this.#module.C_Verify(this.#session, data, tag);
  }

  #destroy(key: Key): void {
    this.#module.C_DestroyObject(this.#session, key);
  }
}

const buffersOf = ({ digest, tag }: { digest: Uint8Array; tag: Uint8Array }) => ({ digest: Buffer.from(digest), tag: Buffer.from(tag) });
