import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { GrantSigner } from '../../frontend/grant-signer.ts';
import { systemClock } from '../../primitives/clock.ts';
import type { Grant } from '../../protocol/grant.ts';
import { ridFor } from '../../protocol/record-id.ts';
import { type Granted, GrantVerifier } from './grants.ts';

const NOW = Date.UTC(2026, 10, 1);
const YEAR = 366 * 24 * 3600 * 1000;
const at = (now: number) => ({ ...systemClock, now: () => now });

const keys = Object.fromEntries(
  ['acme', 'acme-old', 'rival'].map((name) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return [name, { pem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, key: createPublicKey(privateKey) }];
  }),
) as Record<'acme' | 'acme-old' | 'rival', { pem: string; key: ReturnType<typeof createPublicKey> }>;

const verifier = new GrantVerifier(
  new Map([
    [
      'acme',
      new Map([
        ['new', { key: keys.acme.key, isRetired: false }],
        ['old', { key: keys['acme-old'].key, isRetired: true }],
      ]),
    ],
    ['rival', new Map([['new', { key: keys.rival.key, isRetired: false }]])],
  ]),
  at(NOW),
);

const asked = {
  fleet: 'eu-1',
  operation: 'begin-recovery',
  g: new Uint8Array(16).fill(1),
  authorises: new Uint8Array(32).fill(2),
} as const;
const expected: Granted = { ...asked, rid: ridFor('eu-1', 'acme', 'alice') };
const grant: Grant = { ...asked, tenant: 'acme', recordId: 'alice' };

const sign = (changes: Partial<Grant> = {}, by: keyof typeof keys = 'acme', kid = 'new', now = NOW) =>
  new GrantSigner({ pem: keys[by].pem, kid, clock: at(now) }).sign({ ...grant, ...changes });
const refused = (why: RegExp) => expect.objectContaining({ code: 'GRANT_REFUSED', message: expect.stringMatching(why) });

test('a grant that has expired allows nothing, and shows for ever what was asked for', async () => {
  const stale = await sign({}, 'acme', 'new', NOW - YEAR);
  await expect(verifier.verify(stale, expected)).rejects.toMatchObject({ code: 'GRANT_EXPIRED' });
  await verifier.verifyShown(stale, expected);
});

test('so does one by a key that is retired', async () => {
  const old = await sign({}, 'acme-old', 'old');
  await expect(verifier.verify(old, expected)).rejects.toEqual(refused(/retired/));
  await verifier.verifyShown(old, expected);
});

test.each<[string, Partial<Grant>]>([
  ['account', { recordId: 'bob' }],
  ['generation', { g: new Uint8Array(16) }],
  ['point', { authorises: new Uint8Array(32) }],
  ['operation', { operation: 'erase' }],
  ['fleet', { fleet: 'eu-2' }],
])('another %s is not what was granted, shown or not', async (_, changes) => {
  const other = await sign(changes);
  await expect(verifier.verify(other, expected)).rejects.toEqual(refused(/is not that of the request/));
  await expect(verifier.verifyShown(other, expected)).rejects.toEqual(refused(/is not that of the request/));
});

test('no tenant grants what is another one’s, although it names the same account', async () => {
  for (const changes of [{}, { tenant: 'rival' }]) {
    const theirs = await sign(changes, 'rival');
    await expect(verifier.verify(theirs, expected)).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
    await expect(verifier.verifyShown(theirs, expected)).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
  }
});

test('a grant names its account by a hash: whoever reads etcd does not learn whose it is', async () => {
  const [, payload] = (await sign()).split('.') as [string, string];
  expect(Buffer.from(payload, 'base64url').toString()).not.toContain('alice');
});

test.each(['', 'a.b.c', 'x'.repeat(4000), `${'e30'}.e30.`])('%s is no grant', async (jws) => {
  await expect(verifier.verify(jws, expected)).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
  await expect(verifier.verifyShown(jws, expected)).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
});
