import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { probeReplica } from '../../fleet/replica-probe.ts';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type TokenFault, tokenFaults } from '../../protocol/token-fault.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { CODE } from './support/draft.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';

// The causes of docs/OPERATIONS.md, "The token does not serve", each made in a live fleet under load.

let own: OwnFleet;
let faults: readonly Faults[];
let pids: readonly (number | undefined)[];

beforeAll(async () => {
  own = await startOwnFleet();
  const { replicas, directory } = own.fleet;
  const module = compileFaultShim(directory);
  Object.assign(process.env, behindShim());
  faults = replicas.map(({ place }) => new Faults(join(place.directory, 'softhsm2.conf')));
  await Promise.all(
    replicas.map(async ({ place, process }) => {
      const config = parse(readFileSync(place.config, 'utf8'));
      config.token.module = module;
      await process.stop();
      writeFileSync(place.config, stringify(config));
      await process.start();
    }),
  );
  pids = replicas.map(({ process }) => process.pid);
});

afterAll(() => own?.stop());

interface Enrolled {
  readonly recordId: string;
  readonly backupKey: Uint8Array;
}

const policy = { limit: 10, coolDownMs: 0 };
const passing = ['OUTCOME_UNKNOWN', 'NOT_ENOUGH_REPLICAS', 'TOKEN_UNAVAILABLE', 'TOKEN_FAULT', 'BUSY'];
let records = 0;

/** Devices that enrol and recover without a pause, until told to stop. A wrong answer, or one that is not honest, ends them. */
function load() {
  let isOver = false;
  let refused = 0;
  const acknowledged: Enrolled[] = [];
  const device = async () => {
    const client = own.world.device();
    while (!isOver) {
      const backupKey = randomBytes(32);
      const recordId = `load-${records++}`;
      try {
        await client.enroll({ recordId, code: CODE, backupKey: new SecretBytes(backupKey), policy });
        acknowledged.push({ recordId, backupKey });
        await expectRecovered({ recordId, backupKey });
      } catch (error) {
        if (!isVaultError(error) || !passing.includes(error.code)) throw error;
        refused++;
        await delay(100);
      }
    }
  };
  const all = Promise.all([device(), device(), device()]);
  all.catch(() => {}); // told by stop
  return {
    acknowledged,
    stop: async () => {
      isOver = true;
      await all;
      for (const enrolled of acknowledged) await expectRecovered(enrolled);
      return { refused, acknowledged: acknowledged.length };
    },
  };
}

async function expectRecovered({ recordId, backupKey }: Enrolled): Promise<void> {
  const recovered = await own.world.device().recover({ recordId, code: CODE, renew: false });
  if (!constantTimeEqual(recovered.backupKey.expose(), backupKey)) throw new Error('another backup key came back');
}

/** What the metrics say: the cause, or 'serving'. */
async function state(index: number): Promise<string> {
  const text = await (await fetch(`http://127.0.0.1:${own.fleet.replica(index).ports.metrics}/metrics`)).text();
  if (/^bkv_serving 1$/m.test(text)) return 'serving';
  return /bkv_token_fault\{cause="(\w+)"\} 1/.exec(text)?.[1] ?? 'not serving';
}

/** How long it takes until replica `index` says so. */
async function until(expected: string, index: number): Promise<Millis> {
  const from = performance.now();
  await vi.waitFor(async () => expect(await state(index)).toBe(expected), { timeout: 10_000, interval: 20 });
  return performance.now() - from;
}

function touchPin(index: number): void {
  const file = join(own.fleet.replica(index).place.directory, 'pin');
  writeFileSync(file, readFileSync(file));
}

const ALL = [1, 2, 3];

test.each<[what: string, fault: TokenFault, lasts: Millis, of: number[], ...directives: string[]]>([
  ['one token pulled', 'absent', 2000, [1], 'vanish'],
  ['one token failing for ten seconds', 'failing', 10_000, [1], 'fail 0x30'],
  ['one token that answers GENERAL_ERROR', 'failing', 2000, [2], 'fail 0x5'],
  ['one token logged out, whose PIN nobody takes', 'pin_refused', 2000, [3], 'log-out', 'fail 0xa4 C_Login'],
  ['one token that hangs', 'silent', 6500, [1], 'hang'], // longer than a call is waited for
  ['one token that derives nothing', 'failing', 1000, [2], 'fail 0x6 C_DeriveKey'],
  ['all tokens pulled', 'absent', 2000, ALL, 'vanish'],
])('%s: said within a second, no wrong answer, nothing lost, serving again within a second', async (_, fault, lasts, of, ...directives) => {
  const work = load();
  await vi.waitFor(() => expect(work.acknowledged.length).toBeGreaterThan(1), 10_000);
  for (const index of of) faults[index - 1]?.set(...directives);
  const lost = await Promise.all(of.map((index) => until(fault, index)));
  for (const after of lost) expect(after).toBeLessThan(1000);
  const [first] = of as [number];
  const { addresses, tls } = own.fleet.client;
  const answer = await probeReplica(addresses[first - 1] as string, tls);
  expect([answer.health, answer.problem]).toEqual(['NOT_SERVING', tokenFaults[fault]]);
  const over = performance.now() + lasts;
  while (performance.now() < over) {
    for (const index of of) expect(await state(index)).toBe(fault);
    await delay(100);
  }

  const before = work.acknowledged.length;
  for (const each of faults) each.none();
  if (fault === 'pin_refused') touchPin(first);
  const back = await Promise.all(of.map((index) => until('serving', index)));
  for (const after of back) expect(after).toBeLessThan(1000);
  await vi.waitFor(() => expect(work.acknowledged.length).toBeGreaterThan(before), 10_000);

  const { refused } = await work.stop();
  if (of === ALL) expect(refused).toBeGreaterThan(0);
  expect(own.fleet.replicas.map(({ process }) => process.pid)).toEqual(pids);
  expect(own.fleet.replica(first).process.log()).toContain(tokenFaults[fault]);
});

test('a replica whose token hangs ends when it is told to', async () => {
  const { process } = own.fleet.replica(1);
  faults[0]?.set('hang');
  await until('silent', 1);
  const told = performance.now();
  await process.stop();
  expect(performance.now() - told).toBeLessThan(9500); // those who listen get 4 s, a call 5 s since it began, the others 2 s to leave the module
  expect(process.log()).toContain('hangs in the PKCS#11 module');
  faults[0]?.none();
  await process.start();
});
