import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { loadProfile, profileJsonSchema } from './profile.ts';

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
    'kryoptic',
    'nss-softokn',
    'softhsm2',
    'thales-luna7',
    'utimaco',
  ]));

describe.each(files)('%s', (name) => {
  const profile = loadProfile(new URL(name, directory).pathname);

  it('is a profile of the vendor that it is named after', () => expect(`${profile.vendor}.yaml`).toBe(name));

  it('says for each field what it rests on', () => {
    for (const { field, reason } of reasons(parseDocument(read(name)).contents as YAMLMap, read(name)))
      expect(reason, field).toMatch(/^(tested|documented|unknown|chosen)(:|;|$)/);
  });

  it('names the paper, the source or the program behind what it calls documented', () => {
    const documented = reasons(parseDocument(read(name)).contents as YAMLMap, read(name)).filter(({ reason }) =>
      /^documented/.test(reason),
    );
    for (const { field, reason } of documented)
      expect(reason, field).toMatch(/\.com|\.rs|SDK 5|user guide|research|source read|v13\.6\.3|pull request \d+|tests of/);
  });

  it('claims no test of a token that was never met', () => {
    const claims = reasons(parseDocument(read(name)).contents as YAMLMap, read(name)).filter(({ reason }) => reason.startsWith('tested'));
    if (profile.basis === 'documented') expect(claims).toEqual([]);
    else expect(claims.length).toBeGreaterThan(15);
  });

  it('is what the README’s table says', () => {
    const cells = read('README.md')
      .split('\n')
      .find((line) => line.startsWith(`| \`${profile.vendor}\``))
      ?.split('|');
    const hex = (mechanism: number): string => `0x${mechanism.toString(16).toUpperCase()}`;
    const flag = (value: boolean): string => (value ? 'yes' : 'no');
    expect(cells?.slice(2, -1).map((cell) => cell.trim())).toEqual([
      profile.basis,
      `${profile.rawEcdh}`,
      profile.sessionSuite,
      hex(profile.wrap.ecPrivateKey),
      hex(profile.wrap.secret),
      profile.ecPoint,
      flag(profile.unwrapTemplate),
      flag(profile.allowedMechanisms),
      profile.trusted,
      flag(profile.extractable && profile.copy && profile.derive),
    ]);
  });
});

/** The comment on the line of each field; `wrap` has them inside, and what names the profile needs none. */
function reasons(map: YAMLMap, text: string): { field: string; reason: string }[] {
  return (map.items as Pair[]).flatMap(({ key, value }) => {
    const field = isScalar(key) ? String(key.value) : '';
    if (field === 'vendor' || field === 'basis') return [];
    if (field === 'wrap' && isMap(value)) return reasons(value, text);
    const line = text.slice((key as { range: [number, number] }).range[0]).split('\n')[0] ?? '';
    return [{ field, reason: / # (.*)$/.exec(line)?.[1] ?? '' }];
  });
}
