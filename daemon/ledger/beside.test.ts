import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import type { VaultError } from '../../primitives/errors.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import type { OwnerList } from '../../protocol/owner-list.ts';
import { Guard } from './guard.ts';
import { GuardStore } from './guard-store.ts';
import type { Generation } from './guarded.ts';
import { forgotten } from './hold.ts';

// What lies beside a generation in a guard: holds go with it, the owner's list with the owner.

const identity = { fleet: 'test', replica: 1, incarnation: 1 };
const fill = (n: number, length = 32) => new Uint8Array(length).fill(n);
const curvePoint = Uint8Array.of(2, ...fill(1));
const rid = fill(7);
const h = fill(3);
const HOLD = 1000;
const NOW = 1_000_000;

/** Generation n of a record. */
function generation(n: number, owner = 1): Generation {
  const body = create(BodySchema, {
    ...{ version: 1, fleet: 'test', epoch: 1n, rid, g: fill(n, 16), threshold: 2 },
    policy: { limit: 2, coolDownMs: 0n, holdMs: BigInt(HOLD) },
    shares: [1, 2].map((index) => ({ index, x: index, mask: fill(0), releaseMask: fill(0) })),
    ...{ ownerKey: fill(owner), previous: n > 1 ? fill(n - 1, 16) : new Uint8Array(0), payload: fill(0, 60) },
    ...{ proofKey: curvePoint, releaseBase: curvePoint, number: BigInt(n), line: fill(1, 16) },
  });
  return {
    ...parseBody(body),
    madeWith: fill(n, 8),
    subRecord: { index: 1, enrolledAtMs: BigInt(n), seed: randomBytes(32), mac: fill(n), signature: fill(n, 64) },
    prepared: [],
  };
}

const list = (counter: bigint, content: Uint8Array = randomBytes(64)): OwnerList => ({
  ...{ counter, content: Uint8Array.from(content), signature: fill(1, 64) },
});

const nameOf = ({ counter, content }: OwnerList) => `${counter} ${toHex(content)}`;

async function kept(): Promise<string | undefined> {
  const found = await guard.list(rid);
  return found && nameOf(found);
}

let directory: string;
let guard: Guard;

async function open(): Promise<void> {
  guard = new Guard(await GuardStore.open(directory, identity));
}

async function restart(): Promise<void> {
  await guard.close();
  await open();
}

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'beside-')), 'guard');
  await GuardStore.create(directory, identity);
  await open();
});

afterEach(async () => {
  await guard.close();
  await rm(join(directory, '..'), { recursive: true });
});

async function serve(which: Generation): Promise<Uint8Array> {
  await guard.prepare(
    rid,
    async () => which,
    async () => undefined,
  );
  await guard.promote(rid, which.body.g, async () => []);
  return which.body.g;
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error as VaultError).code,
  );

async function isOnDisk({ content }: OwnerList): Promise<boolean> {
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const contents = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name)).catch(() => Buffer.alloc(0))));
  return contents.some((bytes) => bytes.includes(Buffer.from(content.subarray(0, 16))));
}

const proven = { attempt: 1, blindedBase: curvePoint };
const veto = { attempt: 1, isVeto: true, signature: fill(9, 64), blindedBase: new Uint8Array(0) };

test('a hold outlasts a restart, and so does what its owner said of it', async () => {
  const g = await serve(generation(1));
  expect(await guard.prove(rid, g, h, proven, NOW)).toBe(NOW + HOLD);
  await restart();
  expect(await guard.prove(rid, g, h, proven, NOW + 500)).toBe(NOW + HOLD);
  expect(await guard.decide(rid, g, h, veto)).toBe(true);
  await restart();
  expect(await codeOf(guard.prove(rid, g, h, proven, NOW + HOLD))).toBe('VETOED');
  expect(await codeOf(guard.letGo(rid, g, h))).toBe('VETOED');
});

test('once it was let go, no veto is taken, after a restart either', async () => {
  const g = await serve(generation(1));
  await guard.prove(rid, g, h, proven, NOW);
  expect(await codeOf(guard.letGo(rid, g, fill(4)))).toBe('ATTEMPT_UNKNOWN');
  await guard.letGo(rid, g, h);
  await restart();
  expect(await guard.decide(rid, g, h, veto)).toBe(false);
  expect(await guard.prove(rid, g, h, proven, NOW)).toBeUndefined();
});

test('holds go with their generation', async () => {
  await guard.prove(rid, await serve(generation(1)), h, proven, NOW);
  const g = await serve(generation(2));
  expect((await guard.holds(rid)).size).toBe(0);
  expect(await codeOf(guard.prove(rid, fill(1, 16), h, proven, NOW))).toBe('GENERATION_UNKNOWN');
  await guard.prove(rid, g, h, proven, NOW);
  await guard.destroy(rid, generation(2).body, { newest: fill(0, 8), byTenant: false });
  expect((await guard.holds(rid)).size).toBe(0);
});

test('whoever said that all is spent begins no hold any more, and goes on with those that there are', async () => {
  const g = await serve(generation(1));
  await guard.prove(rid, g, h, proven, NOW);
  expect(await guard.holdNoMore(rid, g, NOW + HOLD - 1)).toBe(false);
  expect(await guard.prove(rid, g, fill(4), proven, NOW)).toBe(NOW + HOLD);
  expect(await guard.holdNoMore(rid, g, NOW + HOLD)).toBe(true);
  await restart();
  expect(await codeOf(guard.prove(rid, g, fill(5), proven, NOW))).toBe('EXHAUSTED');
  expect(await guard.prove(rid, g, h, proven, NOW + HOLD)).toBe(0);
  expect(await guard.decide(rid, g, fill(5), veto)).toBe(true);
});

test('what a lost guard may have released is not denied by the one that is rebuilt', async () => {
  await guard.close();
  const store = await GuardStore.open(directory, identity);
  const decided = new Map([[toHex(h), forgotten(1)]]);
  await store.restore(generation(1), { points: [], decided, list: list(1n) }, NOW);
  guard = new Guard(store);
  const { g } = generation(1).body;
  expect(await guard.prove(rid, g, h, proven, NOW)).toBe(NOW + HOLD);
  expect(await guard.decide(rid, g, h, veto)).toBe(false);
  expect(await codeOf(guard.prove(rid, g, h, proven, NOW + HOLD))).toBe('VETOED'); // it is kept all the same
  expect(await guard.decide(rid, g, fill(4), veto)).toBe(true);
});

test('there are no more holds than attempts that a record may have', async () => {
  const g = await serve(generation(1));
  for (let n = 1; n <= 100; n++) await guard.decide(rid, g, fill(n), veto);
  expect(await codeOf(guard.decide(rid, g, fill(101), veto))).toBe('POLICY_REFUSED');
  expect(await guard.decide(rid, g, fill(100), veto)).toBe(true);
});

test('of two lists the one with the higher counter stays, and the same may come again', async () => {
  const g = await serve(generation(1));
  const [first, second] = [list(1n), list(2n)];
  for (const each of [first, first, second]) await guard.putList(rid, g, each);
  expect(await codeOf(guard.putList(rid, g, first))).toBe('LIST_OUTDATED');
  expect(await codeOf(guard.putList(rid, g, list(2n)))).toBe('LIST_OUTDATED');
  await restart();
  expect(await kept()).toBe(nameOf(second));
});

test('a list stays for its owner’s next generation, and goes with another owner’s', async () => {
  const first = list(1n);
  await guard.putList(rid, await serve(generation(1)), first);
  await serve(generation(2));
  expect(await kept()).toBe(nameOf(first));
  await serve(generation(3, 2));
  expect(await guard.list(rid)).toBeUndefined();
  expect(await codeOf(guard.putList(rid, fill(2, 16), first))).toBe('GENERATION_UNKNOWN');
});

test('after an erasure has answered, neither the list nor one before it is in any file', async () => {
  const g = await serve(generation(1));
  const [first, second] = [list(1n), list(2n)];
  for (const each of [first, second]) await guard.putList(rid, g, each);
  await restart();
  expect([await isOnDisk(first), await isOnDisk(second)]).toContain(true);
  await guard.destroy(rid, generation(1).body, { newest: fill(0, 8), byTenant: false });
  expect([await isOnDisk(first), await isOnDisk(second)]).toEqual([false, false]);
  expect(await guard.list(rid)).toBeUndefined();
});
