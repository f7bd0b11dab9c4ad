import pkcs11js from 'pkcs11js';
import { decompress, liftUncompressed, multiplyX } from '../../daemon/token/curve.ts';
import { inForm } from '../../daemon/token/keys/public-point.ts';
import { derivedX, proofKey } from '../../daemon/token/keys/templates.ts';
import { attributeType, encodeTemplate } from '../../daemon/token/pkcs11/attributes.ts';
import { CKM, ecdh, plain } from '../../daemon/token/pkcs11/mechanisms.ts';
import { findSlot } from '../../daemon/token/pkcs11/module.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import { proofTranscript, receiptTranscript, subRecordTranscript, type TweakUse, tweakTranscript } from '../../protocol/transcripts.ts';
import type { TokenStage } from './token-stage.ts';

const hmac = plain(CKM.SHA256_HMAC);
const ecdsa = plain(CKM.ECDSA);

/** What a replica's token does in one recovery: the calls into the module, on one session of this thread, all else made beforehand. */
export class RawToken {
  readonly #module: pkcs11js.PKCS11;
  readonly #session: Buffer;
  readonly #keys: TokenStage['token']['keys'];
  readonly #data: ReturnType<typeof prepareData>;

  constructor(stage: TokenStage) {
    const { module, keys } = stage.token;
    this.#module = module;
    this.#keys = keys;
    const slot = findSlot(module, stage.location.tokenLabel);
    this.#session = module.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
    this.#data = prepareData(stage);
  }

  /** A vote's signature, a receipt's, an answer's. */
  sign(digest: Uint8Array = this.#data.digest): Buffer {
    this.#module.C_SignInit(this.#session, ecdsa, this.#keys.receipt);
    return this.#module.C_Sign(this.#session, bufferOf(digest), Buffer.alloc(64));
  }

  /** The token's part of an evaluation: MAC, tweak, one derivation, the receipt's signature. */
  evaluateInToken(): void {
    this.#verifyMac();
    this.#tweak('oprf');
    this.#derive('oprf', this.#data.derivation);
    this.sign();
  }

  /** The same with all that the host computes for it: three transcripts, the tweak's scalar, and its product with the point. */
  evaluate(): void {
    const { name, generation, point } = this.#data;
    this.#verifyMac(subRecordTranscript({ ...name, ...generation }).digest);
    const mac = this.#tweak('oprf', tweakTranscript('oprf', { ...name, seed: generation.seed }).digest);
    const product = multiplyX(tweakFrom(mac), point, 'the blinded element');
    const evaluated = this.#derive('oprf', ecdh(liftUncompressed(product)));
    this.sign(receiptTranscript({ ...name, ...generation, attempt: 1, limit: 10, used: 1, point, evaluated }).digest);
  }

  /** The token's part of a release: MAC, proof, tweak, one derivation, the answer's signature. */
  releaseInToken(): void {
    this.#verifyMac();
    const { key, digest, signature } = this.#data.proof;
    const proofKey = this.#module.C_CreateObject(this.#session, key);
    this.#module.C_VerifyInit(this.#session, ecdsa, proofKey);
    this.#module.C_Verify(this.#session, digest, signature);
    this.#module.C_DestroyObject(this.#session, proofKey);
    this.#tweak('release');
    this.#derive('release', this.#data.derivation);
    this.sign();
  }

  close(): void {
    this.#module.C_CloseSession(this.#session);
  }

  #verifyMac(digest: Uint8Array = this.#data.subRecord): void {
    this.#module.C_VerifyInit(this.#session, hmac, this.#keys.mac);
    this.#module.C_Verify(this.#session, bufferOf(digest), this.#data.mac);
  }

  #tweak(use: TweakUse, digest: Uint8Array = this.#data.tweaks[use]): Buffer {
    this.#module.C_SignInit(this.#session, hmac, this.#keys.mac);
    return this.#module.C_Sign(this.#session, bufferOf(digest), Buffer.alloc(32));
  }

  #derive(use: TweakUse, derivation: pkcs11js.Mechanism): Buffer {
    const derived = this.#module.C_DeriveKey(this.#session, derivation, this.#keys[use], this.#data.x);
    const [answer] = this.#module.C_GetAttributeValue(this.#session, derived, [{ type: attributeType('value') }]);
    this.#module.C_DestroyObject(this.#session, derived);
    return (answer as pkcs11js.AttributeResult).value;
  }
}

function prepareData({ token: { profile, ...view }, requests }: TokenStage) {
  const { evaluate, release } = requests;
  const { generation, point } = evaluate;
  const name = { fleet: view.fleet, index: view.index, epoch: view.epoch, rid: generation.rid, g: generation.g };
  const tweak = (use: TweakUse) => tweakTranscript(use, { ...name, seed: generation.seed }).digest;
  const proofPoint = inForm(profile.readPoint, decompress(release.proofKey, 'the proof key'));
  return {
    name,
    generation,
    point,
    digest: requests.sign,
    subRecord: subRecordTranscript({ ...name, ...generation }).digest,
    mac: Buffer.from(generation.mac),
    tweaks: { oprf: tweak('oprf'), release: tweak('release') },
    derivation: ecdh(decompress(point, 'the point')),
    x: encodeTemplate(derivedX(profile)),
    proof: {
      key: encodeTemplate({ ...proofKey(profile), ecPoint: proofPoint }),
      digest: bufferOf(proofTranscript(name, release.attempt, release.point, release.blindedBase).digest),
      signature: Buffer.from(release.proof),
    },
  };
}

/** The same memory. */
const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
