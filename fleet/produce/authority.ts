// @peculiar/x509 stands on a container of dependencies that needs this, loaded before it.
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { Millis } from '../../primitives/brand.ts';

/** Validity of everything that one act of production makes. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A year from now. It begins an hour ago: clocks of the machines of one fleet differ. */
export const validityFrom = (now: Millis): Validity => ({
  notBefore: new Date(now - 3600 * 1000),
  notAfter: new Date(now + 365 * 24 * 3600 * 1000),
});

/** Certificate and private key (PKCS #8), as PEM. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

/** What a certificate is for and whom it names. */
export interface Subject {
  readonly commonName: string;
  readonly usages: readonly ExtendedKeyUsage[];
  readonly names: readonly JsonGeneralName[];
}

const curve = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;

const generateKeys = () => crypto.subtle.generateKey(curve, true, ['sign', 'verify']);
const toPem = async (key: webcrypto.CryptoKey) => `${PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;

/** A certificate authority whose key lives as long as this object and is never written. A fleet that grows gets a new authority. */
export class Authority {
  readonly certificate: string;
  readonly #certificate: X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #validity: Validity;

  private constructor(certificate: X509Certificate, keys: webcrypto.CryptoKeyPair, validity: Validity) {
    this.certificate = `${certificate.toString('pem')}\n`;
    this.#certificate = certificate;
    this.#keys = keys;
    this.#validity = validity;
  }

  static async create(commonName: string, validity: Validity): Promise<Authority> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: [{ CN: [commonName] }],
      keys,
      signingAlgorithm,
      ...validity,
      extensions: [
        new BasicConstraintsExtension(true, 0, true), // issues certificates, and no further authorities
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new Authority(certificate, keys, validity);
  }

  async issue(subject: Subject): Promise<Identity> {
    const keys = await generateKeys();
    return { certificate: await this.#certify(subject, keys.publicKey, this.#validity), key: await toPem(keys.privateKey) };
  }

  /** A certificate for a key that stays in its token; `point` is its public half, SEC1. */
  async certify(subject: Subject, point: Uint8Array, validity = this.#validity): Promise<string> {
    const raw = p256.Point.fromBytes(point).toBytes(false) as Uint8Array<ArrayBuffer>; // WebCrypto reads the uncompressed form only
    return this.#certify(subject, await crypto.subtle.importKey('raw', raw, curve, true, ['verify']), validity);
  }

  async #certify(subject: Subject, publicKey: webcrypto.CryptoKey, validity: Validity): Promise<string> {
    const certificate = await X509CertificateGenerator.create({
      subject: [{ CN: [subject.commonName] }],
      issuer: this.#certificate.subjectName,
      publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm,
      ...validity,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([...subject.usages]),
        ...(subject.names.length > 0 ? [new SubjectAlternativeNameExtension([...subject.names])] : []),
        await SubjectKeyIdentifierExtension.create(publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
      ],
    });
    return `${certificate.toString('pem')}\n`;
  }
}
