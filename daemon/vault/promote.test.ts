import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { type Attempts, BodySchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import type { Signed } from '../../protocol/signature.ts';
import { preparedTranscript } from '../../protocol/transcripts.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { live } from '../ledger/attempts.ts';
import { Guard } from '../ledger/guard.ts';
import { GuardStore } from '../ledger/guard-store.ts';
import type { Generation } from '../ledger/guarded.ts';
import { receiptKeys } from './p256.ts';
import { promoteCommitted } from './promote.ts';
import type { Vault } from './vault.ts';

// Replica 1 of five, t = 3, prepared a generation. A coordinator that asks it to promote that shows what it likes, and etcd says what it likes.

const fleet = new SoftFleet({ replicas: 5 });
const { statement, name } = fleet;
const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const point = Uint8Array.of(2, ...fill(1, 32));
const rid = fill(7, 32);

function generation(n: number): Generation & { readonly by: readonly Signed[] } {
  const g = fill(n, 16);
  const body = create(BodySchema, {
    ...{ version: 1, fleet: name, epoch: 1n, rid, g, threshold: 3, policy: { limit: 2, coolDownMs: 0n } },
    shares: [1, 2, 3, 4].map((index) => ({ index, x: index, mask: fill(0, 32), releaseMask: fill(0, 32) })), // 5 is no holder
    ...{ ownerKey: fill(0, 32), payload: fill(0, 60), proofKey: point, releaseBase: point, number: 1n, line: g },
  });
  const hashed = parseBody(body);
  const by = [1, 2, 3, 4, 5].map((index) => {
    const of = { fleet: name, epoch: 1, index, rid, g };
    return { index, signature: Uint8Array.from(fleet.replica(index).sign(preparedTranscript(of, body.previous, hashed.bodyHash))) };
  });
  const { signature } = by[0] as (typeof by)[0];
  return {
    ...hashed,
    prepared: [],
    subRecord: { index: 1, enrolledAtMs: 1n, seed: fill(n, 32), mac: fill(n, 32), signature },
    madeWith: fill(n, 8),
    by,
  };
}

const which = generation(1);
const [own, second, third, fourth, stranger] = which.by as [Signed, Signed, Signed, Signed, Signed];

let directory: string;
let guard: Guard;
/** What etcd says. */
let register: Attempts | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'promoting-'));
  const identity = { fleet: name, replica: 1, incarnation: 1 };
  await GuardStore.create(join(directory, 'guard'), identity);
  guard = new Guard(await GuardStore.open(join(directory, 'guard'), identity));
  register = live(which, { incarnation: 1, holders: [1, 2, 3, 4] });
  await guard.prepare(
    rid,
    async () => which,
    async () => undefined,
  );
});

afterEach(async () => {
  await guard.close();
  await rm(directory, { recursive: true });
});

function promote(shown: readonly Signed[]) {
  const vault = { statement, receiptKeys: receiptKeys(statement), guard, register: { read: async () => register } } as unknown as Vault;
  return promoteCommitted(vault, rid, which.body.g, shown);
}

const flipped = ({ index, signature }: Signed) => ({ index, signature: signature.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) });

it.each<[string, readonly Signed[]]>([
  ['t with its own', [second, third]],
  ['t of others', [second, third, fourth]],
  ['t among what is none', [flipped(third), second, { ...second, index: 4 }, fourth]],
])('goes by what %s signed, and keeps that to show it', async (_, shown) => {
  expect(toHex((await promote(shown)).body.g)).toBe(toHex(which.body.g));
  const { live: served } = await guard.read(rid);
  expect(served?.prepared.length).toBeGreaterThanOrEqual(3);
  for (const { index, signature } of served?.prepared ?? [])
    expect(toHex(signature)).toBe(toHex((which.by[index - 1] as Signed).signature));
});

it.each<[string, readonly Signed[]]>([
  ['nobody', []],
  ['itself', [own, own, own]],
  ['one too few', [second]],
  ['one, twice', [second, second]],
  ['one, in another one’s name', [second, { ...second, index: 3 }]],
  ['one who is no holder', [second, stranger]],
  ['one that the statement does not name', [second, { ...third, index: 6 }]],
  ['others, flipped', [second, third, fourth].map(flipped)],
  ['others, cut off', [second, third].map(({ index, signature }) => ({ index, signature: signature.slice(1) }))],
  ['others, of another generation', generation(2).by],
  ['t, behind as many that are none as there can be replicas', [...Array.from({ length: 9 }, () => flipped(second)), third, fourth]],
])('goes by nothing that %s signed', async (_, shown) => {
  await expect(promote(shown)).rejects.toMatchObject({ code: 'GENERATION_UNKNOWN' });
  expect(await guard.read(rid)).toMatchObject({ live: undefined, prepared: [{ body: { number: 1n } }] });
});

it.each<[string, Partial<Attempts> | undefined]>([
  ['nothing', undefined],
  ['another generation', { g: fill(9, 16) }],
  ['another body', { bodyHash: fill(9, 32) }],
  ['that it is erased', { state: RecordState.ERASED }],
])('goes by nothing that t signed while etcd says %s', async (_, said) => {
  register = said && ({ ...(register as Attempts), ...said } as Attempts);
  await expect(promote([second, third, fourth])).rejects.toMatchObject({ code: 'GENERATION_UNKNOWN' });
});
