import { sha256 } from '@noble/hashes/sha2.js';
import { type Attribute, ContentInfo, SignedData, type SignerInfo } from '@peculiar/asn1-cms';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { Time } from '@peculiar/asn1-x509';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, concat, constantTimeEqual } from '../../primitives/bytes.ts';
import { ECDSA_WITH_SHA256, type ParsedCertificate, parseCertificate, timeOf, verifyEcdsa } from './certificate.ts';
import { refuse, refusing } from './checks.ts';

// OBJECT IDENTIFIERs of RFC 5652 §4, §5.1, §11 and RFC 5754 §2.2
const ID_DATA = '1.2.840.113549.1.7.1';
const ID_SIGNED_DATA = '1.2.840.113549.1.7.2';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const SIGNING_TIME = '1.2.840.113549.1.9.5';
const SHA256 = '2.16.840.1.101.3.4.2.1';

/** One layer of a bundle whose own signature is right. Whether the certificate is to be trusted is not said yet. */
export interface SignedContent {
  readonly content: Bytes;
  readonly certificate: ParsedCertificate;
  readonly signedAt: Millis;
}

/** A layer taken apart; its signature is not looked at yet. */
export interface ParsedLayer extends SignedContent {
  readonly signer: SignerInfo;
  readonly digest: Bytes;
}

/**
 * SignedData of the one form that this fleet writes: DER, version 1, id-data with content, one certificate, one signer named by issuer
 * and serial number, SHA-256 with ECDSA, the three signed attributes and no unsigned ones. Throws bundle-malformed, signature-missing,
 * certificate-untrusted.
 */
export const parseLayer = (der: Bytes): ParsedLayer => refusing('bundle-malformed', 'A layer is not CMS SignedData.', () => parse(der));

function parse(der: Bytes): ParsedLayer {
  const signed = decode(der);
  const { encapContentInfo, signerInfos, digestAlgorithms } = signed;
  if (signerInfos.length === 0) throw refuse('signature-missing', 'A layer of the bundle has no signer.');
  const [signer, secondSigner] = signerInfos;
  const [choice, secondChoice] = signed.certificates ?? [];
  if (!signer || secondSigner) throw malformed('A layer has more than one signer.');
  if (!choice?.certificate || secondChoice) throw malformed('A layer does not hold exactly one certificate.');
  if (signed.crls) throw malformed('A layer holds revocation lists.');
  const content = encapContentInfo.eContent?.single;
  if (encapContentInfo.eContentType !== ID_DATA || !content) throw malformed('A layer does not hold its content as data.');
  const isSha256 = ({ algorithm }: { algorithm: string }) => algorithm === SHA256;
  if (signed.version !== 1 || signer.version !== 1) throw malformed('A layer is not of version 1.');
  if (digestAlgorithms.length !== 1 || !digestAlgorithms.every(isSha256) || !isSha256(signer.digestAlgorithm))
    throw malformed('A layer is hashed by something else than SHA-256.');
  if (signer.signatureAlgorithm.algorithm !== ECDSA_WITH_SHA256) throw malformed('A layer is not signed with ECDSA and SHA-256.');
  if (signer.unsignedAttrs) throw malformed('A layer has attributes that nobody signed.');
  const certificate = parseCertificate(new Uint8Array(AsnConvert.serialize(choice.certificate)));
  expectNames(signer, certificate);
  return { content: new Uint8Array(content.buffer), certificate, signer, ...readAttributes(signer) };
}

/** Throws statement-tampered when the content or the attributes are not what the certificate's key signed (RFC 5652 §5.4). */
export function verifyLayer(layer: ParsedLayer, whose: string): SignedContent {
  const { content, certificate, signer, signedAt, digest } = layer;
  if (!constantTimeEqual(digest, sha256(content)))
    throw refuse('statement-tampered', `What the ${whose} signed is not what is there: the content was changed afterwards.`);
  if (!verifyEcdsa(new Uint8Array(signer.signature.buffer), setOf((signer.signedAttrs ?? []).map(encode)), certificate.publicKey))
    throw refuse('statement-tampered', `The ${whose}’s signature is not of the key in the ${whose}’s certificate.`);
  return { content, certificate, signedAt };
}

function decode(der: Bytes): SignedData {
  const info = AsnConvert.parse(der, ContentInfo);
  if (info.contentType !== ID_SIGNED_DATA) throw malformed('A layer is not CMS SignedData.');
  const signed = AsnConvert.parse(info.content, SignedData);
  const again = AsnConvert.serialize(new ContentInfo({ contentType: ID_SIGNED_DATA, content: AsnConvert.serialize(signed) }));
  if (!constantTimeEqual(new Uint8Array(again), der)) throw malformed('A layer is not CMS SignedData in DER.');
  return signed;
}

function expectNames(signer: SignerInfo, certificate: ParsedCertificate): void {
  const id = signer.sid.issuerAndSerialNumber;
  const names =
    id !== undefined &&
    constantTimeEqual(new Uint8Array(AsnConvert.serialize(id.issuer)), certificate.issuer) &&
    constantTimeEqual(new Uint8Array(id.serialNumber), certificate.serial);
  if (!names) throw malformed('A signer does not name the certificate that is with it.');
}

/** Exactly content-type, signing-time and message-digest, each with one value. */
function readAttributes(signer: SignerInfo): { signedAt: Millis; digest: Bytes } {
  const attributes = signer.signedAttrs ?? [];
  if (attributes.length !== 3) throw malformed('A signer did not sign exactly three attributes.');
  const value = (type: string): ArrayBuffer => {
    const [attribute, second] = attributes.filter(({ attrType }) => attrType === type);
    if (!attribute || second || attribute.attrValues.length !== 1) throw malformed(`The signed attribute ${type} is not there once.`);
    return attribute.attrValues[0] as ArrayBuffer;
  };
  const encoded = attributes.map(encode);
  if (!constantTimeEqual(concat(...encoded), concat(...encoded.toSorted(compareBytes))))
    throw malformed('The signed attributes are not in the order of DER.');
  const idData = Uint8Array.of(0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01);
  if (!constantTimeEqual(new Uint8Array(value(CONTENT_TYPE)), idData)) throw malformed('The signed content type is not data.');
  return {
    signedAt: timeOf(AsnConvert.parse(value(SIGNING_TIME), Time)),
    digest: new Uint8Array(AsnConvert.parse(value(MESSAGE_DIGEST), OctetString).buffer),
  };
}

const encode = (attribute: Attribute): Uint8Array => new Uint8Array(AsnConvert.serialize(attribute));

/** DER SET OF, as it is signed (RFC 5652 §5.4); its order (X.690 §11.6) is that of the message, which readAttributes holds to it. */
function setOf(encoded: readonly Uint8Array[]): Bytes {
  const body = concat(...encoded);
  const length = body.length < 0x80 ? [body.length] : [0x81, body.length]; // three short attributes: less than 256 bytes
  return concat(Uint8Array.of(0x31, ...length), body);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const different = a.findIndex((byte, i) => byte !== b[i]);
  return different < 0 ? 0 : (a[different] as number) - (b[different] ?? -1);
}

const malformed = (why: string) => refuse('bundle-malformed', why);
