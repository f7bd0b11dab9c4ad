import 'reflect-metadata';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { beforeAll, describe, expect, test } from 'vitest';
import { expectIssued, parseCertificate } from './certificate.ts';
import type { CheckCode } from './check-codes.ts';
import { refusalOf } from './checks.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');
const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const period = { notBefore: new Date('2026-01-01'), notAfter: new Date('2027-01-01') };

const caUsages = new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true);
const signs = new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true);
const isCa = new BasicConstraintsExtension(true, 0, true);
const mail = new ExtendedKeyUsageExtension([ExtendedKeyUsage.emailProtection]);
const server = new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]);
const leaf = [signs, mail];

let keys: Awaited<ReturnType<typeof newKeys>>;
const newKeys = (algorithm: EcKeyGenParams & { hash?: string } = P256) => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
type EcKeyGenParams = { name: string; namedCurve: string };

beforeAll(async () => {
  keys = await newKeys();
});

const authority = (extensions: Extension[] = [isCa, caUsages], more: object = {}) =>
  X509CertificateGenerator.createSelfSigned({ name: 'CN=authority', keys, signingAlgorithm: P256, extensions, ...period, ...more });

async function issue(ca: X509Certificate, extensions: Extension[] = leaf, more: object = {}): Promise<X509Certificate> {
  const { publicKey } = await newKeys();
  const base = { subject: 'CN=signer', issuer: ca.subjectName, publicKey, signingKey: keys.privateKey, signingAlgorithm: P256 };
  return X509CertificateGenerator.create({ ...base, extensions, ...period, ...more });
}

function codeOf(certificate: X509Certificate, ca: X509Certificate, now = NOW): CheckCode | undefined {
  try {
    expectIssued(parseCertificate(certificate.toString('pem')), parseCertificate(ca.toString('pem')), now, 'operator');
    return undefined;
  } catch (error) {
    return refusalOf(error);
  }
}

test('a certificate for signing mail, issued by the authority, is accepted', async () => {
  const ca = await authority();
  expect(codeOf(await issue(ca), ca)).toBeUndefined();
  expect(parseCertificate((await issue(ca)).toString('pem')).commonName).toBe('signer');
});

describe('is refused', () => {
  test.each<[string, Extension[]]>([
    ['for another usage', [signs, server]],
    ['without an extended usage', [signs]],
    ['without a usage', [mail]],
    ['that may not sign', [new KeyUsagesExtension(KeyUsageFlags.keyAgreement, true), mail]],
    ['that is an authority', [...leaf, new BasicConstraintsExtension(true, 0, true)]],
    ['with a critical extension that nobody understands', [...leaf, new Extension('1.2.3.4', true, Uint8Array.of(5, 0))]],
    ['with an extension twice', [...leaf, mail]],
  ])('one %s', async (_what, extensions) => {
    const ca = await authority();
    expect(codeOf(await issue(ca, extensions), ca)).toBe('certificate-untrusted');
  });

  test.each<[string, Extension[]]>([
    ['that is none', [caUsages]],
    ['that may not issue', [isCa, signs]],
  ])('one of an authority %s', async (_what, extensions) => {
    const ca = await authority(extensions);
    expect(codeOf(await issue(ca), ca)).toBe('certificate-untrusted');
  });

  test('one of another authority of the same name', async () => {
    const ca = await authority();
    const foreign = await newKeys();
    expect(codeOf(await issue(ca, leaf, { signingKey: foreign.privateKey }), ca)).toBe('certificate-untrusted');
  });

  test('one of an authority of another name', async () => {
    expect(codeOf(await issue(await authority([isCa, caUsages], { name: 'CN=somebody else' })), await authority())).toBe(
      'certificate-untrusted',
    );
  });

  test('one before and after its time, and its authority’s', async () => {
    const ca = await authority();
    const signer = await issue(ca, leaf, { notBefore: new Date('2026-05-01'), notAfter: new Date('2026-07-01') });
    const codes = ['2026-04-30', '2026-05-01', '2026-07-01', '2026-07-02'].map((day) => codeOf(signer, ca, Date.parse(day)));
    expect(codes).toEqual(['certificate-expired', undefined, undefined, 'certificate-expired']);
    const shortLived = await authority([isCa, caUsages], { notAfter: new Date('2026-05-01') });
    expect(codeOf(await issue(shortLived), shortLived)).toBe('certificate-expired');
    const young = await authority([isCa, caUsages], { notBefore: new Date('2026-12-01') });
    expect(codeOf(await issue(young), young)).toBe('certificate-expired');
  });

  test('one of another curve or hash', async () => {
    const ca = await authority();
    const { publicKey } = await newKeys({ name: 'ECDSA', namedCurve: 'P-384' });
    expect(codeOf(await issue(ca, leaf, { publicKey }), ca)).toBe('certificate-untrusted');
    expect(codeOf(await issue(ca, leaf, { signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' } }), ca)).toBe('certificate-untrusted');
  });
});

test('a file that is not one certificate in PEM, or not DER, is refused', async () => {
  const ca = await authority();
  const pem = ca.toString('pem');
  const der = new Uint8Array(ca.rawData);
  for (const wrong of ['', `${pem}\n${pem}`, pem.replace(/\nMII/, '\nM'), new Uint8Array([...der, 0]), new Uint8Array([5, 0])]) {
    let code: CheckCode | undefined;
    try {
      parseCertificate(wrong);
    } catch (error) {
      code = refusalOf(error);
    }
    expect(code, String(wrong).slice(0, 40)).toBe('certificate-untrusted');
  }
  expect(parseCertificate(der).der).toEqual(der);
});
