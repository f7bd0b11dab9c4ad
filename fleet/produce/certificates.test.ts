import { X509Certificate } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { Authority, validityFrom } from './authority.ts';
import { etcdClientSubject, etcdPeerSubject, etcdServerSubject, frontendSubject, replicaSubject } from './certificates.ts';

// Judged by OpenSSL, not by the library that made them.
const SERVER = '1.3.6.1.5.5.7.3.1';
const CLIENT = '1.3.6.1.5.5.7.3.2';
const now = Date.now();
let authority: Authority;

beforeAll(async () => {
  authority = await Authority.create('test', validityFrom(now));
});

test.each([
  [
    'a replica is server and client',
    replicaSubject('west', 2),
    [SERVER, CLIENT],
    'DNS:replica-2.west.bkv, DNS:localhost, IP Address:127.0.0.1, URI:bkv://fleet/west/replica/2',
  ],
  ['a frontend is a client alone', frontendSubject('acme'), [CLIENT], 'URI:bkv://tenant/acme'],
  ['an etcd server is no client', etcdServerSubject(['localhost']), [SERVER], 'DNS:localhost, IP Address:127.0.0.1'],
  ['an etcd peer is both', etcdPeerSubject(['10.1.2.3']), [SERVER, CLIENT], 'DNS:localhost, IP Address:127.0.0.1, IP Address:10.1.2.3'],
  ['an etcd client is no server', etcdClientSubject('replica-1'), [CLIENT], 'DNS:replica-1'],
])('%s', async (_what, subject, usages, names) => {
  const { certificate, key } = await authority.issue(subject);
  const parsed = new X509Certificate(certificate);
  expect(parsed.keyUsage).toEqual(usages);
  expect(parsed.subjectAltName).toBe(names);
  expect(parsed.ca).toBe(false);
  expect(parsed.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true);
  expect(parsed.checkIssued(new X509Certificate(authority.certificate))).toBe(true);
  expect(parsed.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
});

test('an authority issues certificates and is valid for a year', () => {
  const parsed = new X509Certificate(authority.certificate);
  expect(parsed.ca).toBe(true);
  expect(Date.parse(parsed.validFrom)).toBeLessThan(now);
  expect(Date.parse(parsed.validTo)).toBeGreaterThan(now + 364 * 24 * 3600 * 1000);
});

test('two certificates have two serial numbers and two keys', async () => {
  const [a, b] = await Promise.all([authority.issue(frontendSubject('acme')), authority.issue(frontendSubject('acme'))]);
  expect(new X509Certificate(a.certificate).serialNumber).not.toBe(new X509Certificate(b.certificate).serialNumber);
  expect(a.key).not.toBe(b.key);
});
