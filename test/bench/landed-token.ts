import { createCipheriv, createECDH, createHmac, ECDH, randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { beginLandedEvaluation } from './landed-curve.ts';

// The calls into the token as they were while each record had a key of its own, made in the token, wrapped out, and unwrapped at each
// attempt: kept so that the four keys in force are compared with them in one run. Nothing else uses this.

type Key = Buffer;
type Attributes = Record<string, boolean | number | Buffer>;

const { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, CKK_AES, CKK_EC, CKK_GENERIC_SECRET } = pkcs11js;
const CKA_ALLOWED_MECHANISMS = 0x40000600;
const KEY_WRAP = 0x2109; // CKM_AES_KEY_WRAP: RFC 3394
const KEY_WRAP_PAD = 0x210a; // RFC 5649 on SoftHSM2
const P256 = Buffer.from('06082a8648ce3d030107', 'hex');
const WRAPPED_KEY_MAX = 256;
const SEALED_LENGTH = 40;
const ulong = (value: number): Buffer => Buffer.from(new BigUint64Array([BigInt(value)]).buffer);

/** Attributes by pkcs11js's names without CKA_, in this order: SoftHSM 2.6.1 takes none after MODIFIABLE = false. */
const template = (attributes: Attributes): pkcs11js.Template =>
  Object.entries(attributes).map(([name, value]) => ({
    type:
      name === 'ALLOWED_MECHANISMS' ? CKA_ALLOWED_MECHANISMS : ((pkcs11js as unknown as Record<string, number>)[`CKA_${name}`] as number),
    value: typeof value === 'number' ? ulong(value) : value,
  }));

/** A key in force is a token object, as it was: SoftHSM2 looks into its file at each use. What a record needs lives for a call. */
const held = (TOKEN: boolean) => ({ TOKEN, PRIVATE: true, SENSITIVE: true }) as const;
const secretUses = { ENCRYPT: false, DECRYPT: false, SIGN: false, VERIFY: false, WRAP: false, UNWRAP: false, DERIVE: false } as const;
const privateUses = { DECRYPT: false, SIGN: false, UNWRAP: false, DERIVE: false } as const;

interface Use {
  readonly token?: boolean;
  readonly extractable?: boolean;
  readonly uses?: Attributes;
  readonly mechanism?: number;
}

const secret = (keyType: number, { token = false, extractable = false, uses = {}, mechanism }: Use): pkcs11js.Template =>
  template({
    ...{ CLASS: CKO_SECRET_KEY, KEY_TYPE: keyType, ...held(token), EXTRACTABLE: extractable, ...secretUses, ...uses },
    ...(mechanism === undefined ? {} : { ALLOWED_MECHANISMS: mechanism }),
    MODIFIABLE: false,
  });

const privateKey = ({ token = false, extractable = false, uses = {}, mechanism = 0 }: Use): pkcs11js.Template =>
  template({
    ...{ CLASS: CKO_PRIVATE_KEY, KEY_TYPE: CKK_EC, ...held(token), EXTRACTABLE: extractable, ...privateUses, ...uses },
    ...{ ALLOWED_MECHANISMS: mechanism, MODIFIABLE: false },
  });

const publicKey = (TOKEN: boolean, VERIFY: boolean): pkcs11js.Template =>
  template({ CLASS: CKO_PUBLIC_KEY, KEY_TYPE: CKK_EC, TOKEN, PRIVATE: false, EC_PARAMS: P256, ENCRYPT: false, VERIFY, WRAP: false });

const derives = { uses: { DERIVE: true }, mechanism: pkcs11js.CKM_ECDH1_DERIVE } as const;
const hmac = pkcs11js.CKM_SHA256_HMAC;

const templates = {
  kek: (mechanism: number) => secret(CKK_AES, { token: true, uses: { VALUE_LEN: 32, WRAP: true, UNWRAP: true }, mechanism }),
  mac: secret(CKK_GENERIC_SECRET, { token: true, uses: { VALUE_LEN: 32, SIGN: true, VERIFY: true }, mechanism: hmac }),
  sessionKey: privateKey({ token: true, ...derives }),
  receiptKey: privateKey({ token: true, uses: { SIGN: true }, mechanism: pkcs11js.CKM_ECDSA }),
  newOprfKey: privateKey({ extractable: true, ...derives }),
  oprfKey: privateKey(derives),
  auth: secret(CKK_GENERIC_SECRET, { uses: { VERIFY: true }, mechanism: hmac }),
  share: secret(CKK_GENERIC_SECRET, { extractable: true }),
  shared: secret(CKK_AES, { uses: { VALUE_LEN: 32, DERIVE: true } }),
  wrapKey: secret(CKK_AES, { uses: { VALUE_LEN: 32, WRAP: true, UNWRAP: true }, mechanism: KEY_WRAP }),
  x: template({
    ...{ CLASS: CKO_SECRET_KEY, KEY_TYPE: CKK_GENERIC_SECRET, VALUE_LEN: 32 },
    ...{ TOKEN: false, PRIVATE: false, SENSITIVE: false, EXTRACTABLE: true },
  }),
};

const plain = (mechanism: number): pkcs11js.Mechanism => ({ mechanism });
const ecdh = (publicData: Buffer): pkcs11js.Mechanism => ({
  mechanism: pkcs11js.CKM_ECDH1_DERIVE,
  parameter: { type: pkcs11js.CK_PARAMS_EC_DH, kdf: pkcs11js.CKD_NULL, publicData } as pkcs11js.ECDH1,
});
const cbcEncryptData = (data: Buffer): pkcs11js.Mechanism => ({
  mechanism: pkcs11js.CKM_AES_CBC_ENCRYPT_DATA,
  parameter: { type: pkcs11js.CK_PARAMS_AES_CBC, iv: Buffer.alloc(16), data } as pkcs11js.AesCBC,
});

/** One record at one replica: its token's calls on one session of a thread that has logged in, with everything else made beforehand. */
export class LandedToken {
  readonly #module: pkcs11js.PKCS11;
  readonly #session: Buffer;
  readonly #keks: { readonly oprf: Key; readonly auth: Key; readonly release: Key };
  readonly #mac: Key;
  readonly #sessionKey: Key;
  readonly #receiptKey: Key;
  readonly #inForce: readonly Key[];
  readonly #exchange: pkcs11js.Mechanism;
  readonly #derivation = cbcEncryptData(randomBytes(32));
  readonly #digest = randomBytes(32);
  readonly #tag: Buffer;
  readonly #proof: Buffer;
  readonly #sealed: { readonly auth: Buffer; readonly release: Buffer };
  readonly #point: Buffer;
  readonly #publicKey: Buffer;
  readonly #derivations: readonly pkcs11js.Mechanism[];
  readonly #stored: { readonly oprf: Buffer; readonly auth: Buffer; readonly release: Buffer };

  /** The KEKs are not TRUSTED and have no UNWRAP_TEMPLATE, for which the token would do a little more. */
  constructor(module: pkcs11js.PKCS11, slot: Buffer) {
    this.#module = module;
    this.#session = module.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
    const generate = (mechanism: number, of: pkcs11js.Template) => module.C_GenerateKey(this.#session, plain(mechanism), of);
    const kek = (mechanism: number) => generate(pkcs11js.CKM_AES_KEY_GEN, templates.kek(mechanism));
    this.#keks = { oprf: kek(KEY_WRAP_PAD), auth: kek(KEY_WRAP), release: kek(KEY_WRAP) };
    this.#mac = generate(pkcs11js.CKM_GENERIC_SECRET_KEY_GEN, templates.mac);
    const sessionPair = this.#generatePair(true, false, templates.sessionKey);
    this.#sessionKey = sessionPair.privateKey;
    const receiptPair = this.#generatePair(true, true, templates.receiptKey);
    this.#receiptKey = receiptPair.privateKey;
    this.#inForce = [...Object.values(this.#keks), this.#mac, ...[sessionPair, receiptPair].flatMap((pair) => Object.values(pair))];

    const client = createECDH('prime256v1');
    this.#exchange = ecdh(client.generateKeys());
    const wrapKey = this.#wrapKeyOf(client.computeSecret(this.#readPoint(sessionPair.publicKey)));
    const [auth, share] = [randomBytes(32), randomBytes(32)];
    this.#sealed = { auth: sealWith(wrapKey, auth), release: sealWith(wrapKey, share) };
    this.#proof = createHmac('sha256', auth).update(this.#digest).digest();
    this.#tag = this.mac();

    const blinded = createECDH('prime256v1');
    blinded.generateKeys();
    this.#point = blinded.getPublicKey(null, 'compressed');
    const born = this.#newOprfKey();
    this.#publicKey = born.publicKey;
    const { points } = beginLandedEvaluation(born.publicKey, this.#point);
    this.#derivations = points.map(ecdh);
    this.#stored = { oprf: born.wrapped, auth: this.#rewrap('auth'), release: this.#rewrap('release') };

    // What is measured has to work.
    const expected = blinded.computeSecret(born.publicKey);
    if (!this.evaluate().subarray(1).equals(expected)) throw new Error('the landed evaluation is wrong');
    if (!this.release().equals(this.#sealed.release)) throw new Error('the landed release is wrong');
  }

  /** A vote's signature, a receipt's, an offer's. */
  sign(): Buffer {
    this.#module.C_SignInit(this.#session, plain(pkcs11js.CKM_ECDSA), this.#receiptKey);
    return this.#module.C_Sign(this.#session, this.#digest, Buffer.alloc(64));
  }

  mac(): Buffer {
    this.#module.C_SignInit(this.#session, plain(pkcs11js.CKM_SHA256_HMAC), this.#mac);
    return this.#module.C_Sign(this.#session, this.#digest, Buffer.alloc(32));
  }

  /** The sub-record's, or a ticket's. */
  verifyMac(): void {
    this.#verify(this.#mac, this.#tag);
  }

  /** One unwrap, two derivations: the token's part of an evaluation, which gives two x coordinates. */
  derive(): Buffer[] {
    const key = this.#unwrap(KEY_WRAP_PAD, this.#keks.oprf, this.#stored.oprf, templates.oprfKey);
    const xs = this.#derivations.map((derivation) => this.#x(key, derivation));
    this.#destroy(key);
    return xs;
  }

  /** With what the host computes: k·P, compressed. */
  evaluate(): Buffer {
    const { finish } = beginLandedEvaluation(this.#publicKey, this.#point);
    return finish(this.derive());
  }

  /** MAC, proof, session key, share. */
  release(): Buffer {
    this.verifyMac();
    const auth = this.#unwrap(KEY_WRAP, this.#keks.auth, this.#stored.auth, templates.auth);
    this.#verify(auth, this.#proof);
    this.#destroy(auth);
    const wrapKey = this.#sessionWrapKey();
    const share = this.#unwrap(KEY_WRAP, this.#keks.release, this.#stored.release, templates.share);
    const sealed = this.#module.C_WrapKey(this.#session, plain(KEY_WRAP), wrapKey, share, Buffer.alloc(SEALED_LENGTH));
    this.#destroy(share);
    this.#destroy(wrapKey);
    return sealed;
  }

  /** All that the token did for one record: a key made, evaluated with and wrapped; tag and signature of the offer. */
  offer(): void {
    this.#newOprfKey();
    this.mac();
    this.sign();
  }

  /** The ticket checked, both secrets opened, stored, and opened again, the point evaluated again, the sub-record's MAC. */
  prepare(): void {
    this.verifyMac();
    const stored = { auth: this.#rewrap('auth'), release: this.#rewrap('release') };
    for (const purpose of ['auth', 'release'] as const)
      this.#destroy(this.#unwrap(KEY_WRAP, this.#keks[purpose], stored[purpose], purpose === 'auth' ? templates.auth : templates.share));
    this.evaluate();
    this.mac();
  }

  close(): void {
    for (const key of this.#inForce) this.#destroy(key);
    this.#module.C_CloseSession(this.#session);
  }

  #newOprfKey(): { readonly publicKey: Buffer; readonly wrapped: Buffer } {
    const pair = this.#generatePair(false, false, templates.newOprfKey);
    const point = this.#readPoint(pair.publicKey);
    const { points, finish } = beginLandedEvaluation(point, this.#point);
    finish(points.map((each) => this.#x(pair.privateKey, ecdh(each))));
    const room = Buffer.alloc(WRAPPED_KEY_MAX);
    const wrapped = this.#module.C_WrapKey(this.#session, plain(KEY_WRAP_PAD), this.#keks.oprf, pair.privateKey, room);
    this.#destroy(pair.privateKey);
    this.#destroy(pair.publicKey);
    return { publicKey: point, wrapped };
  }

  #rewrap(purpose: 'auth' | 'release'): Buffer {
    const wrapKey = this.#sessionWrapKey();
    const opened = this.#unwrap(KEY_WRAP, wrapKey, this.#sealed[purpose], templates.share);
    const stored = this.#module.C_WrapKey(this.#session, plain(KEY_WRAP), this.#keks[purpose], opened, Buffer.alloc(WRAPPED_KEY_MAX));
    this.#destroy(wrapKey);
    this.#destroy(opened);
    return stored;
  }

  #sessionWrapKey(): Key {
    const shared = this.#module.C_DeriveKey(this.#session, this.#exchange, this.#sessionKey, templates.shared);
    const wrapKey = this.#module.C_DeriveKey(this.#session, this.#derivation, shared, templates.wrapKey);
    this.#destroy(shared);
    return wrapKey;
  }

  /** The same as the client has it. */
  #wrapKeyOf(shared: Buffer): Buffer {
    const { data, iv } = this.#derivation.parameter as pkcs11js.AesCBC;
    return createCipheriv('aes-256-cbc', shared, iv)
      .setAutoPadding(false)
      .update(data as Buffer);
  }

  #x(key: Key, derivation: pkcs11js.Mechanism): Buffer {
    const derived = this.#module.C_DeriveKey(this.#session, derivation, key, templates.x);
    const [answer] = this.#module.C_GetAttributeValue(this.#session, derived, [{ type: pkcs11js.CKA_VALUE }]);
    this.#destroy(derived);
    return (answer as pkcs11js.AttributeResult).value;
  }

  #generatePair(token: boolean, verify: boolean, secretHalf: pkcs11js.Template): pkcs11js.KeyPair {
    return this.#module.C_GenerateKeyPair(this.#session, plain(pkcs11js.CKM_EC_KEY_PAIR_GEN), publicKey(token, verify), secretHalf);
  }

  /** Compressed, without the DER around it. */
  #readPoint(key: Key): Buffer {
    const [answer] = this.#module.C_GetAttributeValue(this.#session, key, [{ type: pkcs11js.CKA_EC_POINT }]);
    return ECDH.convertKey(
      (answer as pkcs11js.AttributeResult).value.subarray(2),
      'prime256v1',
      undefined,
      undefined,
      'compressed',
    ) as Buffer;
  }

  #unwrap(mechanism: number, kek: Key, blob: Buffer, as: pkcs11js.Template): Key {
    return this.#module.C_UnwrapKey(this.#session, plain(mechanism), kek, blob, as);
  }

  #verify(key: Key, tag: Buffer): void {
    this.#module.C_VerifyInit(this.#session, plain(pkcs11js.CKM_SHA256_HMAC), key);
    this.#module.C_Verify(this.#session, this.#digest, tag);
  }

  #destroy(key: Key): void {
    this.#module.C_DestroyObject(this.#session, key);
  }
}

/** AES-KW, as the client sealed. */
function sealWith(key: Buffer, value: Buffer): Buffer {
  const cipher = createCipheriv('id-aes256-wrap', key, Buffer.alloc(8, 0xa6));
  return Buffer.concat([cipher.update(value), cipher.final()]);
}
