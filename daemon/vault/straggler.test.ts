import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GrantSigner } from '../../frontend/grant-signer.ts';
import { toHex } from '../../primitives/bytes.ts';
import { systemClock } from '../../primitives/clock.ts';
import { BodySchema, type Erasure, ErasureSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ForgetRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { ridFor } from '../../protocol/record-id.ts';
import { erasedTranscript, eraseTranscript, preparedTranscript } from '../../protocol/transcripts.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { Guard } from '../ledger/guard.ts';
import { GuardStore } from '../ledger/guard-store.ts';
import { type Generation, renderShown, shownOf } from '../ledger/guarded.ts';
import { forget } from './forget.ts';
import { GrantVerifier } from './grants.ts';
import { receiptKeys } from './p256.ts';
import { TicketSecrets } from './ticket-secrets.ts';
import type { Vault } from './vault.ts';

// Replica 1 missed the enrolment of what is erased, and holds something of its line: what came before, or what was to take its place. Whoever asks it to
// forget may show what that generation was, or not.

const fleet = new SoftFleet();
const { statement, name } = fleet;
const recordId = 'alice';
const rid = ridFor(name, SoftFleet.tenant, recordId);
const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const named = (n: number) => fill(n, 16);
const point = Uint8Array.of(2, ...fill(1, 32));

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = new GrantSigner({ kid: 'k', pem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string });
const keys = new Map([[SoftFleet.tenant, new Map([['k', { key: createPublicKey(privateKey), isRetired: false }]])]]);

/** The n-th of the record. `previous`: what it takes the place of, with the owner's signature unless it begins a line. */
function generation(n: number, { previous = n - 1, line = 1, by = [] as number[] } = {}): Generation {
  const body = create(BodySchema, {
    ...{ version: 1, fleet: name, epoch: 1n, rid, g: named(n), threshold: 2, policy: { limit: 2, coolDownMs: 0n } },
    shares: [1, 2, 3].map((index) => ({ index, x: index, mask: fill(0, 32), releaseMask: fill(0, 32) })),
    ...{ ownerKey: fill(0, 32), previous: previous > 0 ? named(previous) : new Uint8Array(0), payload: fill(0, 60) },
    ...{ proofKey: point, releaseBase: point, number: BigInt(n), line: named(line) },
  });
  const hashed = parseBody(body);
  const prepared = by.map((index) => {
    const of = { fleet: name, epoch: 1, index, rid, g: body.g };
    return { index, signature: fleet.replica(index).sign(preparedTranscript(of, body.previous, hashed.bodyHash)) };
  });
  const subRecord = { index: 1, enrolledAtMs: 1n, seed: fill(n, 32), mac: fill(n, 32), signature: fill(n, 64) };
  return { ...hashed, prepared, subRecord, madeWith: fill(n, 8) };
}

const shown = (n: number) => renderShown(generation(n, { by: [2, 3] }));

let directory: string;
let guard: Guard;
let vault: Vault;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'straggler-'));
  const identity = { fleet: name, replica: 1, incarnation: 1 };
  await GuardStore.create(join(directory, 'guard'), identity);
  guard = new Guard(await GuardStore.open(join(directory, 'guard'), identity));
  vault = {
    ...{ statement, self: statement.replicas[0], receiptKeys: receiptKeys(statement), guard, clock: systemClock },
    ...{ grants: new GrantVerifier(keys, systemClock), token: { sign: async () => fill(0, 64) } },
  } as unknown as Vault;
  restart();
});

afterEach(async () => {
  await guard.close();
  await rm(directory, { recursive: true });
});

/** With another ticket secret: it can make no seed of before. */
function restart(): void {
  vault = { ...vault, tickets: new TicketSecrets(systemClock, 1000) };
}

const prepare = (which: Generation) =>
  guard.prepare(
    rid,
    async () => which,
    async () => undefined,
  );

async function serve(which: Generation): Promise<void> {
  await prepare(which);
  await guard.promote(rid, which.body.g, async () => generation(Number(which.body.number), { by: [2, 3] }).prepared);
}

async function byTenant(n: number): Promise<Erasure> {
  const authorises = eraseTranscript(rid, named(n)).digest;
  const grant = await signer.sign({ fleet: name, tenant: SoftFleet.tenant, operation: 'erase', recordId, g: named(n), authorises });
  return create(ErasureSchema, { grant });
}

function byOthers(n: number): Erasure {
  const signature = (index: number) => fleet.replica(index).sign(erasedTranscript({ fleet: name, epoch: 1, index, rid, g: named(n) }));
  return create(ErasureSchema, { erased: [2, 3].map((index) => ({ index, signature: signature(index) })) });
}

/** Whether it signs that it is rid of the n-th. */
async function signs(n: number, request: Partial<Parameters<typeof forget>[1]>): Promise<boolean> {
  return (await forget(vault, create(ForgetRequestSchema, { rid, g: named(n), ...request }))).erased !== undefined;
}

async function held(): Promise<number[]> {
  const { live, prepared } = await guard.read(rid);
  return [...(live ? [live] : []), ...prepared].map(({ body }) => Number(body.g[0]));
}

describe.each([
  ['the tenant', byTenant],
  ['t others', byOthers],
])('on the word of %s, what it missed', (_, erasure) => {
  it('is nothing to it where it holds nothing of the record', async () => {
    expect(await signs(2, { erasure: await erasure(2) })).toBe(false);
    restart();
    expect(await signs(2, {})).toBe(true);
  });

  it('takes what it serves of that line once it is shown, also after it was called by its name', async () => {
    await serve(generation(1));
    expect(await signs(2, { erasure: await erasure(2) })).toBe(false);
    restart();
    expect(await signs(2, { erasure: await erasure(2) })).toBe(false); // what it serves may come before it
    expect(await held()).toEqual([1]);
    expect(await signs(2, { shown: shown(2) })).toBe(false); // it can make the seed again
    expect(await held()).toEqual([]);
    restart();
    expect(await signs(2, {})).toBe(true);
  });

  it('is nothing to what was enrolled since, in a line of its own', async () => {
    await serve(generation(3, { line: 3 }));
    await signs(2, { erasure: await erasure(2) });
    restart();
    expect(await signs(2, {})).toBe(true);
    expect(await held()).toEqual([3]);
    await serve(generation(4, { line: 3 }));
    expect(await signs(2, {})).toBe(false); // of which line the second was, nobody showed
    await signs(2, { shown: shown(2) });
    restart();
    expect(await signs(2, {})).toBe(true);
    expect(await held()).toEqual([4]);
  });

  it('is not shown by what fewer than t prepared, nor by another of its line', async () => {
    await serve(generation(1));
    await signs(2, { erasure: await erasure(2) });
    restart();
    expect(await signs(2, { shown: renderShown(generation(2, { by: [2] })) })).toBe(false);
    expect(await signs(2, { shown: shown(3) })).toBe(false);
    expect(await held()).toEqual([1]);
  });
});

describe('what it prepared to take the place of what it missed', () => {
  it('goes on the tenant’s word, and then it signs', async () => {
    await prepare(generation(3));
    await signs(2, { erasure: await byTenant(2) });
    expect(await held()).toEqual([]);
    restart();
    expect(await signs(2, {})).toBe(true);
  });

  it('stays on that of others, and it does not sign meanwhile', async () => {
    await prepare(generation(3));
    await signs(2, { erasure: byOthers(2), shown: shown(2) });
    restart();
    expect(await signs(2, { shown: shown(2) })).toBe(false);
    expect(await held()).toEqual([3]);
    await signs(2, { erasure: await byTenant(2) });
    expect(await held()).toEqual([]);
    restart();
    expect(await signs(2, {})).toBe(true);
  });

  it('goes also where it was known that a later one is over by the tenant’s word', async () => {
    await signs(7, { erasure: await byTenant(7), shown: shown(7) });
    const { body, ...rest } = generation(3);
    await prepare({ ...rest, ...parseBody(create(BodySchema, { ...body, epoch: 2n })) }); // later than all of the first epoch
    restart();
    expect(await signs(2, { shown: shown(2) })).toBe(false);
    await signs(2, { shown: shown(2), erasure: await byTenant(2) });
    expect(await held()).toEqual([]);
    restart();
    expect(await signs(2, { shown: shown(2) })).toBe(true);
  });
});

describe('what it was shown, or served, it can show others once it is destroyed', () => {
  const { bodyHash } = generation(2);
  const whole = { hash: toHex(bodyHash), by: [2, 3] };
  const remembered = async () => {
    const known = shownOf(await guard.read(rid), named(2));
    return known && { hash: toHex(known.bodyHash), by: known.prepared.map(({ index }) => index) };
  };

  it.each<[string, () => Promise<unknown>]>([
    ['where it served that', () => serve(generation(2))],
    ['where it was shown that at once', async () => {}],
    ['where it was told the name alone first', async () => signs(2, { erasure: byOthers(2) })],
    ['where it had prepared that', () => prepare(generation(2))],
    [
      'where it had destroyed what it prepared, and was not shown that t had',
      async () => {
        await prepare(generation(2));
        await signs(2, { erasure: byOthers(2) });
      },
    ],
  ])('%s', async (_, before) => {
    await before();
    await signs(2, { erasure: byOthers(2), shown: shown(2) });
    expect(await held()).toEqual([]);
    expect(await remembered()).toEqual(whole);
    await signs(2, { shown: shown(2) });
    expect(await remembered()).toEqual(whole);
  });

  it('but not what fewer than t prepared', async () => {
    await prepare(generation(2));
    await signs(2, { erasure: byOthers(2), shown: renderShown(generation(2, { by: [2] })) });
    expect(await remembered()).toBeUndefined();
  });

  it('with the signatures that verify, and no others', async () => {
    const liar = { index: 1, signature: fill(1, 64) };
    const { prepared, ...rest } = generation(2, { by: [2, 3] });
    await signs(2, { erasure: byOthers(2), shown: renderShown({ ...rest, prepared: [liar, ...prepared] }) });
    expect(await remembered()).toEqual(whole);
  });
});

it('goes by what t prepared where it has something else prepared under that name', async () => {
  await serve(generation(1));
  await prepare(generation(2, { line: 9 }));
  await signs(2, { erasure: byOthers(2), shown: shown(2) });
  expect(await held()).toEqual([]);
});

it('keeps what is over by nobody’s word', async () => {
  await serve(generation(1));
  await expect(signs(1, { shown: shown(1) })).rejects.toMatchObject({ code: 'ERASURE_REFUSED' });
  await expect(signs(2, { shown: shown(2) })).rejects.toMatchObject({ code: 'ERASURE_REFUSED' });
  expect(await held()).toEqual([1]);
});
