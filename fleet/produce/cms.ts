import { X509Certificate } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import {
  Attribute,
  CertificateChoices,
  CertificateSet,
  CMSVersion,
  ContentInfo,
  DigestAlgorithmIdentifier,
  DigestAlgorithmIdentifiers,
  EncapsulatedContent,
  EncapsulatedContentInfo,
  IssuerAndSerialNumber,
  id_data,
  id_signedData,
  SignatureAlgorithmIdentifier,
  SignedData,
  SignerIdentifier,
  SignerInfo,
  SignerInfos,
} from '@peculiar/asn1-cms';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import { Certificate, Time } from '@peculiar/asn1-x509';
import type { Millis } from '../../primitives/brand.ts';
import type { Signer } from '../signing-token/signer.ts';

/** A P-256 key that signs one layer of bundles, and its certificate in PEM. */
export interface BundleSigner {
  readonly certificate: string;
  readonly key: Signer;
}

const SHA256 = '2.16.840.1.101.3.4.2.1';
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const SIGNING_TIME = '1.2.840.113549.1.9.5';

/** One layer of a bundle: S/MIME, opaque, around CMS SignedData (RFC 5652, RFC 8551) of `content`. */
export const signSmime = (content: Uint8Array, signer: BundleSigner, now: Millis): string => formatSmime(signData(content, signer, now));

/** The two layers: the witness signs the statement, the operator signs what the witness made. */
export const countersign = (witnessed: string, operator: BundleSigner, now: Millis): string =>
  signSmime(Buffer.from(witnessed, 'latin1'), operator, now);

function signData(content: Uint8Array, signer: BundleSigner, now: Millis): Buffer {
  const certificate = AsnConvert.parse(new X509Certificate(signer.certificate).raw, Certificate);
  const signedAttrs = inDerOrder([
    attribute(CONTENT_TYPE, Buffer.from('06092a864886f70d010701', 'hex')), // id-data
    attribute(SIGNING_TIME, AsnConvert.serialize(new Time(new Date(now)))),
    attribute(MESSAGE_DIGEST, AsnConvert.serialize(new OctetString(sha256(content)))),
  ]);
  const { issuer, serialNumber } = certificate.tbsCertificate;
  const digestAlgorithm = new DigestAlgorithmIdentifier({ algorithm: SHA256 });
  const signed = new SignedData({
    version: CMSVersion.v1,
    digestAlgorithms: new DigestAlgorithmIdentifiers([digestAlgorithm]),
    encapContentInfo: new EncapsulatedContentInfo({
      eContentType: id_data,
      eContent: new EncapsulatedContent({ single: new OctetString(content) }),
    }),
    certificates: new CertificateSet([new CertificateChoices({ certificate })]),
    signerInfos: new SignerInfos([
      new SignerInfo({
        version: CMSVersion.v1,
        sid: new SignerIdentifier({ issuerAndSerialNumber: new IssuerAndSerialNumber({ issuer, serialNumber }) }),
        digestAlgorithm,
        signedAttrs,
        signatureAlgorithm: new SignatureAlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 }),
        signature: new OctetString(toDer(signer.key.sign(encodeSet(signedAttrs)))),
      }),
    ]),
  });
  return Buffer.from(AsnConvert.serialize(new ContentInfo({ contentType: id_signedData, content: AsnConvert.serialize(signed) })));
}

/** r‖s to Ecdsa-Sig-Value (RFC 3279 §2.2.3). */
export const toDer = (signature: Uint8Array): Uint8Array => p256.Signature.fromBytes(signature, 'compact').toBytes('der');

const attribute = (attrType: string, value: ArrayBuffer | Buffer): Attribute =>
  new Attribute({ attrType, attrValues: [Uint8Array.from(Buffer.from(value as ArrayBuffer)).buffer] });

// RFC 5652 §5.4: what is signed is the DER of a SET OF, whose elements X.690 §11.6 puts in the order of their encodings.
const encode = (one: Attribute): Buffer => Buffer.from(AsnConvert.serialize(one));
const inDerOrder = (attributes: readonly Attribute[]): Attribute[] => attributes.toSorted((a, b) => encode(a).compare(encode(b)));

function encodeSet(attributes: readonly Attribute[]): Buffer {
  const body = Buffer.concat(attributes.map(encode));
  if (body.length > 0xff) throw new RangeError('three attributes are shorter than that');
  return Buffer.concat([Buffer.from(body.length < 0x80 ? [0x31, body.length] : [0x31, 0x81, body.length]), body]);
}

// RFC 8551 §3.5.2. The verifier accepts these bytes and no others (fleet/verify/smime.ts).
function formatSmime(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [
    'MIME-Version: 1.0',
    'Content-Disposition: attachment; filename="smime.p7m"',
    'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"',
    'Content-Transfer-Encoding: base64',
    '',
    ...lines,
    '',
  ].join('\n');
}
