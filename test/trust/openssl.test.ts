import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { validityFrom } from '../../fleet/produce/authority.ts';
import { bundleSignerSubject, etcdServerSubject } from '../../fleet/produce/certificates.ts';
import { countersign, signSmime } from '../../fleet/produce/cms.ts';
import { parseCertificate } from '../../fleet/verify/certificate.ts';
import { refusalOf } from '../../fleet/verify/checks.ts';
import { type Authorities, openLayers, statementBytes, verifyOperator, verifyWitness } from '../../fleet/verify/layers.ts';
import { makeParty, type Party } from './parties.ts';

// OpenSSL and the project's own verifier judge the same bundles, and must agree.

const now = Date.now();
const statement = Buffer.from('{"type":"backup-key-vault/fleet-statement/v1","with":"no newline at its end, é and \\n inside"}');
let directory: string;
let operator: Party;
let witness: Party;
let stranger: Party;
let authorities: Authorities;
let bundle: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-openssl-'));
  const validity = validityFrom(now);
  [operator, witness, stranger] = (await Promise.all(['operator', 'witness', 'stranger'].map((name) => makeParty(name, validity)))) as [
    Party,
    Party,
    Party,
  ];
  authorities = { operator: parseCertificate(operator.ca), witness: parseCertificate(witness.ca) };
  writeFileSync(join(directory, 'operator-ca.pem'), operator.ca);
  writeFileSync(join(directory, 'witness-ca.pem'), witness.ca);
  bundle = countersign(signSmime(statement, witness.signer, now), operator.signer, now);
});

afterAll(() => rmSync(directory, { recursive: true }));

/** Both verifications in a pipe, as docs/AUDIT.md has them; undefined if one fails. */
function openssl(command: 'cms' | 'smime', smime: string): Buffer | undefined {
  writeFileSync(join(directory, 'validation-bundle.txt'), smime);
  const first = `openssl ${command} -verify -binary -CAfile operator-ca.pem -in validation-bundle.txt`;
  const script = `set -o pipefail; ${first} | openssl ${command} -verify -binary -CAfile witness-ca.pem`;
  const { status, stdout } = spawnSync('bash', ['-c', script], { cwd: directory });
  return status === 0 ? stdout : undefined;
}

/** The code of ours, or the statement. */
function ours(smime: string): string | Buffer | undefined {
  try {
    const layers = openLayers(Buffer.from(smime), authorities);
    verifyOperator(layers, authorities, now);
    verifyWitness(layers, authorities, now);
    return Buffer.from(statementBytes(layers));
  } catch (error) {
    return refusalOf(error);
  }
}

test.each(['cms', 'smime'] as const)('openssl %s -verify, twice in a pipe, prints the statement to the byte', (command) => {
  expect(openssl(command, bundle)).toEqual(statement);
});

test('so does our own verifier', () => {
  expect(ours(bundle)).toEqual(statement);
});

test('openssl cms -sign makes one that differs in form only: ours takes no second form', () => {
  const { pem, key } = exportable();
  writeFileSync(join(directory, 'key.pem'), key);
  writeFileSync(join(directory, 'cert.pem'), pem);
  writeFileSync(join(directory, 'in.json'), statement);
  const args = ['cms', '-sign', '-binary', '-nodetach', '-md', 'sha256', '-in', 'in.json', '-signer', 'cert.pem', '-inkey', 'key.pem'];
  const foreign = execFileSync('openssl', args, { cwd: directory }).toString();
  expect(ours(countersign(foreign, operator.signer, now))).toBe('bundle-malformed');
});

describe('both refuse', () => {
  const flipBase64 = (text: string, at: number) => {
    const i = text.lastIndexOf('\n', text.length - 2 - at) + 10;
    return `${text.slice(0, i)}${text[i] === 'A' ? 'B' : 'A'}${text.slice(i + 1)}`;
  };
  const resigned = (inner: string) => countersign(inner, operator.signer, now);
  const witnessed = (content = statement, by = witness) => signSmime(content, by.signer, now);

  test.each<[string, () => string, string]>([
    ['a statement changed inside', () => resigned(tamper(witnessed())), 'statement-tampered'],
    ['a bundle changed near its end', () => flipBase64(bundle, 0), 'statement-tampered'],
    ['three layers', () => resigned(resigned(witnessed())), 'bundle-malformed'],
    ['a witness’s signature alone', () => witnessed(), 'signature-missing'],
    ['an operator’s signature alone', () => signSmime(statement, operator.signer, now), 'signature-missing'],
    ['no signature', () => statement.toString(), 'signature-missing'],
    ['the order swapped', () => countersign(witnessed(statement, operator), witness.signer, now), 'order-swapped'],
    ['a stranger as witness', () => resigned(witnessed(statement, stranger)), 'certificate-untrusted'],
    ['a stranger as operator', () => countersign(witnessed(), stranger.signer, now), 'certificate-untrusted'],
    [
      'the operator’s certificate with another key',
      () => countersign(witnessed(), { ...stranger.signer, certificate: operator.signer.certificate }, now),
      'statement-tampered',
    ],
  ])('%s', (_what, make, code) => {
    const made = make();
    expect(ours(made)).toBe(code);
    expect(openssl('cms', made)).toBeUndefined();
    expect(openssl('smime', made)).toBeUndefined();
  });

  test('certificates that ran out', async () => {
    const past = { notBefore: new Date(now - 2 * 86_400_000), notAfter: new Date(now - 86_400_000) };
    const signer = { ...operator.signer, certificate: await operator.authority.certify(subject(), operator.signer.key.publicKey, past) };
    const made = countersign(witnessed(), signer, now);
    expect(ours(made)).toBe('certificate-expired');
    expect(openssl('cms', made)).toBeUndefined();
  });

  test('certificates for something else', async () => {
    const { usages } = etcdServerSubject(['localhost']);
    const certificate = await operator.authority.certify({ ...subject(), usages }, operator.signer.key.publicKey);
    const made = countersign(witnessed(), { ...operator.signer, certificate }, now);
    expect(ours(made)).toBe('certificate-untrusted');
    expect(openssl('cms', made)).toBeUndefined();
  });
});

test('a change anywhere is refused, and by a refusal', () => {
  // A step that shares no factor with lines of 65 or groups of 4 visits every kind of place.
  for (let i = 0; i < bundle.length; i += 7) {
    const changed = `${bundle.slice(0, i)}${bundle[i] === 'A' ? 'B' : 'A'}${bundle.slice(i + 1)}`;
    expect(ours(changed), `a change at ${i}`).toEqual(expect.any(String));
  }
});

describe('ours takes one form only', () => {
  test.each<[string, (text: string) => string]>([
    ['CRLF', (text) => text.replaceAll('\n', '\r\n')],
    ['another header', (text) => `X-Note: hello\n${text}`],
    ['a blank at the end', (text) => `${text}\n`],
    ['longer lines', (text) => text.replace(/([A-Za-z0-9+/]{64})\n([A-Za-z0-9+/]{64})\n/, '$1$2\n')],
    ['something behind it', (text) => `${text}trailer\n`],
  ])('%s', (_what, change) => {
    expect(ours(change(bundle))).toBe('bundle-malformed');
  });
});

const subject = () => bundleSignerSubject('operator');

/** Changes one letter of the statement inside the DER, which keeps its form. */
function tamper(smime: string): string {
  const [header, body] = smime.split('\n\n') as [string, string];
  const der = Buffer.from(body.replaceAll('\n', ''), 'base64');
  const at = der.indexOf('newline');
  der[at] = 'm'.charCodeAt(0);
  return `${header}\n\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n`;
}

/** A key and certificate that openssl can read. */
function exportable(): { pem: string; key: string } {
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=x', '-keyout', 'x.key'];
  execFileSync('openssl', [...args, '-out', 'x.pem'], { cwd: directory, stdio: 'ignore' });
  return { pem: readFileSync(join(directory, 'x.pem'), 'utf8'), key: readFileSync(join(directory, 'x.key'), 'utf8') };
}
