import { p256 } from '@noble/curves/nist.js';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  type Extension,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_kp_emailProtection,
  KeyUsage,
  KeyUsageFlags,
  type Time,
} from '@peculiar/asn1-x509';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, constantTimeEqual } from '../../primitives/bytes.ts';
import { refuse, refusing } from './checks.ts';

// OBJECT IDENTIFIERs of RFC 5480 §2.1.1 and RFC 5758 §3.2
const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
export const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const PRIME256V1 = Uint8Array.of(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);

/** A certificate of P-256, read strictly. */
export interface ParsedCertificate {
  readonly der: Bytes;
  readonly tbs: Bytes;
  readonly signature: Bytes;
  /** DER of the names. */
  readonly issuer: Bytes;
  readonly subject: Bytes;
  readonly commonName: string;
  readonly serial: Bytes;
  readonly notBefore: Millis;
  readonly notAfter: Millis;
  /** SEC1, uncompressed. */
  readonly publicKey: Bytes;
  readonly isAuthority: boolean;
  readonly keyUsage: number;
  readonly extendedUsages: readonly string[];
}

/** PEM (exactly one block) or DER. Throws certificate-untrusted for what is not a certificate of P-256 signed with ECDSA and SHA-256. */
export const parseCertificate = (input: string | Uint8Array): ParsedCertificate =>
  refusing('certificate-untrusted', 'It is not an X.509 certificate.', () =>
    parse(typeof input === 'string' ? fromPem(input) : (input as Bytes)),
  );

function parse(der: Bytes): ParsedCertificate {
  const certificate = AsnConvert.parse(der, Certificate);
  if (!equal(AsnConvert.serialize(certificate), der)) throw untrusted('It is not a certificate in DER.');
  const { tbsCertificate: tbs, signatureAlgorithm } = certificate;
  if (signatureAlgorithm.algorithm !== ECDSA_WITH_SHA256 || tbs.signature.algorithm !== ECDSA_WITH_SHA256)
    throw untrusted('It is not signed with ECDSA and SHA-256.');
  const { algorithm, subjectPublicKey } = tbs.subjectPublicKeyInfo;
  if (algorithm.algorithm !== EC_PUBLIC_KEY || !algorithm.parameters || !equal(algorithm.parameters, PRIME256V1))
    throw untrusted('Its key is not of P-256.');
  const extensions = tbs.extensions ?? [];
  const unknown = extensions.find(({ critical, extnID }) => critical && !understood.has(extnID));
  if (unknown) throw untrusted(`It has the critical extension ${unknown.extnID}, which nobody here understands.`); // RFC 5280 §4.2
  const constraints = read(extensions, id_ce_basicConstraints, BasicConstraints);
  return {
    der,
    tbs: bytesOf(AsnConvert.serialize(tbs)), // the same bytes: all of it was encoded again
    signature: bytesOf(certificate.signatureValue),
    issuer: bytesOf(AsnConvert.serialize(tbs.issuer)),
    subject: bytesOf(AsnConvert.serialize(tbs.subject)),
    commonName: commonName(tbs.subject),
    serial: bytesOf(tbs.serialNumber),
    notBefore: timeOf(tbs.validity.notBefore),
    notAfter: timeOf(tbs.validity.notAfter),
    publicKey: bytesOf(subjectPublicKey),
    isAuthority: constraints?.cA === true,
    keyUsage: read(extensions, id_ce_keyUsage, KeyUsage)?.toNumber() ?? 0,
    extendedUsages: [...(read(extensions, id_ce_extKeyUsage, ExtendedKeyUsage) ?? [])],
  };
}

const understood = new Set<string>([id_ce_basicConstraints, id_ce_keyUsage, id_ce_extKeyUsage, id_ce_subjectAltName]);

/**
 * A signer's certificate, issued directly by `authority`, both in force at `now`, made for signing mail (RFC 8551 §4.4.4).
 * Throws certificate-untrusted, certificate-expired.
 */
export function expectIssued(certificate: ParsedCertificate, authority: ParsedCertificate, now: Millis, whose: string): void {
  const from = `${whose} certificate`;
  if (!isIssuedBy(certificate, authority)) throw untrusted(`The ${from} was not issued by the ${whose} authority.`);
  if (!authority.isAuthority || !(authority.keyUsage & KeyUsageFlags.keyCertSign))
    throw untrusted(`The ${whose} authority’s own certificate does not let it issue certificates.`);
  if (certificate.isAuthority || !(certificate.keyUsage & KeyUsageFlags.digitalSignature))
    throw untrusted(`The ${from} is not made for signatures.`);
  if (!certificate.extendedUsages.includes(id_kp_emailProtection)) throw untrusted(`The ${from} is not made for S/MIME.`);
  for (const [what, { notBefore, notAfter }] of [
    [from, certificate],
    [`${whose} authority’s certificate`, authority],
  ] as const) {
    if (now < notBefore) throw refuse('certificate-expired', `The ${what} is valid from ${iso(notBefore)} only.`);
    if (now > notAfter) throw refuse('certificate-expired', `The ${what} was valid until ${iso(notAfter)}.`);
  }
}

/** Whether the authority's key signed it, and the names say so. */
export const isIssuedBy = (certificate: ParsedCertificate, authority: ParsedCertificate): boolean =>
  constantTimeEqual(certificate.issuer, authority.subject) && verifyEcdsa(certificate.signature, certificate.tbs, authority.publicKey);

/** ECDSA P-256 with SHA-256, the signature in strict DER (RFC 3279 §2.2.3). Tokens do not care for low s. */
export function verifyEcdsa(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    return p256.verify(signature, message, publicKey, { format: 'der', lowS: false, prehash: true });
  } catch {
    return false; // not DER, or not a point
  }
}

function fromPem(text: string): Bytes {
  const blocks = [...text.matchAll(/-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END CERTIFICATE-----/g)];
  const [block] = blocks;
  if (!block || blocks.length > 1) throw untrusted('The file does not hold exactly one certificate in PEM.');
  return Uint8Array.from(atob((block[1] as string).replace(/\s/g, '')), (character) => character.charCodeAt(0));
}

/** Throws certificate-untrusted for a time that is none: no comparison with it would ever refuse. */
export function timeOf(time: Time): Millis {
  const millis = time.getTime().getTime();
  if (!Number.isFinite(millis)) throw untrusted('A time in it is none.');
  return millis;
}

function read<T>(extensions: readonly Extension[], id: string, type: new () => T): T | undefined {
  const found = extensions.filter(({ extnID }) => extnID === id);
  if (found.length > 1) throw untrusted(`It has the extension ${id} twice.`);
  return found[0] && AsnConvert.parse(found[0].extnValue.buffer, type);
}

function commonName(name: Certificate['tbsCertificate']['subject']): string {
  const [value] = name.flatMap((relative) => [...relative]).filter(({ type }) => type === '2.5.4.3');
  return value?.value.toString() ?? '';
}

const untrusted = (why: string) => refuse('certificate-untrusted', why);
const iso = (time: Millis) => new Date(time).toISOString();
const bytesOf = (buffer: ArrayBuffer): Bytes => new Uint8Array(buffer);
const equal = (a: ArrayBuffer, b: Uint8Array): boolean => constantTimeEqual(new Uint8Array(a), b);
