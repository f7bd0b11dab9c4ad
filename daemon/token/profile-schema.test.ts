import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { loadProfile, type Profile, profileJsonSchema } from './profile.ts';

const directory = new URL('../../hsm-config/', import.meta.url);
const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
const read = (name: string): string => readFileSync(new URL(name, directory), 'utf8');

it('of profiles, the JSON schema is the one that the daemon checks', async () => {
  // `npx vitest run daemon/token/profile-schema.test.ts -u` writes it anew.
  await expect(`${JSON.stringify(profileJsonSchema(), undefined, 2)}\n`).toMatchFileSnapshot('../../hsm-config/profile.schema.json');
});

it('there is one for each vendor that was asked for', () =>
  expect(files.map((name) => basename(name, '.yaml')).sort()).toEqual([
    'aws-cloudhsm',
    'entrust-nshield',
    'entrust-nshield-level3',
    'ibm-ep11',
    'kryoptic',
    'nss-softokn',
    'opencryptoki',
    'p11-kit-proxy',
    'softhsm2',
    'thales-luna7',
    'thales-luna7-fips',
    'utimaco',
    'yubihsm2',
  ]));

it('of devices that cannot serve, the README names each with the reason', () => {
  const section = read('README.md').split('## What cannot serve')[1]?.split('\n## ')[0] ?? '';
  for (const device of ['Google Cloud KMS', 'NetHSM', 'DPoD'])
    expect(section, device).toMatch(new RegExp(`\\*\\*${device}[^\n]*\\*\\*[^\n]{40}`));
});

const lists = ['modulePaths', 'deriveTemplate', 'neverSend'];

describe.each(files)('%s', (name) => {
  const profile = loadProfile(new URL(name, directory).pathname);
  const said = reasons(parseDocument(read(name)).contents as YAMLMap, read(name));

  it('is a profile of the vendor that it is named after', () => expect(`${profile.vendor}.yaml`).toBe(name));

  it('says for each field what it rests on', () => {
    for (const { field, reason } of said) expect(reason, field).toMatch(/^((tried|unknown|chosen)(:|;|\.|$)|from documentation: .{8})/);
  });

  it('names the paper, the source or the program behind what it has from documentation', () => {
    for (const { field, reason } of said.filter(({ reason }) => reason.startsWith('from documentation')))
      expect(reason, field).toMatch(
        /\.com|\.rs|\.c\b|\.h\b|\.htm|\.md|-samples|-examples|ChangeLog|pkcsconf\(1\)|research|issue \d+|tests of/,
      );
  });

  it('claims no trial of a token that was never met', () => {
    const claims = said.filter(({ reason }) => reason.startsWith('tried'));
    if (profile.basis === 'from-documentation') expect(claims).toEqual([]);
    else expect(claims.length).toBeGreaterThan(15);
  });

  it('lets no derived value encrypt or decrypt, which would open what is wrapped', () => {
    const uses = [0x104, 0x105, 0x106, 0x107]; // CKA_ENCRYPT, DECRYPT, WRAP, UNWRAP
    expect(profile.deriveTemplate.extras?.filter(({ attribute }) => uses.includes(attribute)) ?? []).toEqual([]);
  });

  it('is what the README’s table says', () => {
    const cells = read('README.md')
      .split('\n')
      .find((line) => line.startsWith(`| \`${profile.vendor}\``))
      ?.split('|');
    expect(cells?.slice(2, -1).map((cell) => cell.trim())).toEqual(row(profile));
  });
});

function row({ basis, readout, readPoint, derivePoint, verify, hmac, keystore, bootRecord, ...profile }: Profile): string[] {
  const hex = (mechanism: number): string => `0x${mechanism.toString(16).toUpperCase()}`;
  const rules = (['extractable', 'copy', 'derive', 'allowedMechanisms'] as const).filter((rule) => !profile[rule]);
  return [
    basis === 'tried' ? 'tried' : 'from documentation',
    readout.way === 'wrap-decrypt' ? `wrap-decrypt ${hex(readout.wrap)}` : readout.way === 'oaep' ? `oaep ${readout.hash}` : 'read',
    readPoint,
    derivePoint,
    verify,
    `${hmac.keyType} ${hex(hmac.generate)}`,
    keystore,
    bootRecord,
    rules.join(', ') || 'none',
  ];
}

/** The comment on the line of each field; some have fields inside, and what names the profile needs none. */
function reasons(map: YAMLMap, text: string): { field: string; reason: string }[] {
  return (map.items as Pair[]).flatMap(({ key, value }) => {
    const field = isScalar(key) ? String(key.value) : '';
    if (field === 'vendor' || field === 'basis') return [];
    const line = text.slice((key as { range: [number, number] }).range[0]).split('\n')[0] ?? '';
    const inside = lists.includes(field) && field !== 'modulePaths' ? reasons(value as YAMLMap, text) : [];
    return [{ field, reason: / # (.*)$/.exec(line)?.[1] ?? '' }, ...inside];
  });
}
