import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { probeReplica } from '../../fleet/replica-probe.ts';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { type ErrorCode, isVaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type TokenFault, tokenFaults } from '../../protocol/token-fault.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { PATIENCE } from '../harness/patience.ts';
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
const passing: readonly ErrorCode[] = ['OUTCOME_UNKNOWN', 'NOT_ENOUGH_REPLICAS', 'TOKEN_UNAVAILABLE', 'TOKEN_FAULT', 'BUSY'];
const isPassing = (error: unknown) => isVaultError(error) && passing.includes(error.code);
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
        if (!isPassing(error)) throw error;
        refused++;
        await delay(100);
      }
    }
  };
  const all = Promise.all([device(), device(), device()]);
  all.catch(() => {}); // told by who waits, or by stop
  const until = (condition: () => void) => Promise.race([vi.waitFor(condition, PATIENCE), all]);
  return {
    acknowledges: () => {
      const enough = acknowledged.length + 2;
      return until(() => expect(acknowledged.length).toBeGreaterThanOrEqual(enough));
    },
    isRefused: () => until(() => expect(refused).toBeGreaterThan(0)),
    stop: async () => {
      isOver = true;
      await all;
      for (const enrolled of acknowledged) await expectRecoverable(enrolled);
    },
  };
}

async function expectRecovered({ recordId, backupKey }: Enrolled): Promise<void> {
  const recovered = await own.world.device().recover({ recordId, code: CODE, renew: false });
  if (!constantTimeEqual(recovered.backupKey.expose(), backupKey)) throw new Error('another backup key came back');
}

async function expectRecoverable(enrolled: Enrolled): Promise<void> {
  for (;;)
    try {
      return await expectRecovered(enrolled);
    } catch (error) {
      if (!isPassing(error)) throw error;
      await delay(100);
    }
}

/** What the metrics say: the cause, or 'serving'. */
async function state(index: number): Promise<string> {
  const text = await (await fetch(`http://127.0.0.1:${own.fleet.replica(index).ports.metrics}/metrics`)).text();
  if (/^bkv_serving 1$/m.test(text)) return 'serving';
  return /bkv_token_fault\{cause="(\w+)"\} 1/.exec(text)?.[1] ?? 'not serving';
}

/** Until the metrics of replica `index` say so. */
const until = (expected: string, index: number) => vi.waitFor(async () => expect(await state(index)).toBe(expected), PATIENCE);

/** How long a fault lasts: until the token was opened in vain so often more, or, where nobody tries that, for some time. */
type Lasting = { readonly openings: number } | { readonly time: Millis };

async function lasts(fault: TokenFault, of: readonly number[], lasting: Lasting): Promise<void> {
  const began = performance.now();
  const openings = () => of.map((index) => faults[index - 1]?.calls('C_Initialize') ?? 0);
  const before = openings();
  const isOver = () =>
    'time' in lasting
      ? performance.now() - began > lasting.time
      : openings().every((count, i) => count - (before[i] as number) > lasting.openings);
  while (!isOver()) {
    for (const index of of) expect(await state(index)).toBe(fault);
    await delay(100);
  }
}

function touchPin(index: number): void {
  const file = join(own.fleet.replica(index).place.directory, 'pin');
  writeFileSync(file, readFileSync(file));
}

const ALL = [1, 2, 3];

test.each<[what: string, fault: TokenFault, lasting: Lasting, of: number[], ...directives: string[]]>([
  ['one token pulled', 'absent', { openings: 15 }, [1], 'vanish'],
  ['one token failing for long', 'failing', { openings: 60 }, [1], 'fail 0x30'],
  ['one token that answers GENERAL_ERROR', 'failing', { openings: 15 }, [2], 'fail 0x5'],
  ['one token logged out, whose PIN nobody takes', 'pin_refused', { time: 2000 }, [3], 'log-out', 'fail 0xa4 C_Login'],
  ['one token that hangs', 'silent', { time: 6500 }, [1], 'hang'], // longer than a call is waited for
  ['one token that derives nothing', 'failing', { openings: 5 }, [2], 'fail 0x6 C_DeriveKey'],
  ['all tokens pulled', 'absent', { openings: 15 }, ALL, 'vanish'],
])('%s: said by its cause, no wrong answer, nothing lost, serving again by itself', async (_, fault, lasting, of, ...directives) => {
  const [first] = of as [number];
  const work = load();
  await work.acknowledges();
  const logins = faults[first - 1]?.calls('C_Login') as number;
  for (const index of of) faults[index - 1]?.set(...directives);
  await Promise.all(of.map((index) => until(fault, index)));
  const { addresses, tls } = own.fleet.client;
  const answer = await probeReplica(addresses[first - 1] as string, tls);
  expect([answer.health, answer.problem]).toEqual(['NOT_SERVING', tokenFaults[fault]]);
  await lasts(fault, of, lasting);
  if (fault === 'pin_refused') expect(faults[first - 1]?.calls('C_Login')).toBe(logins + 1);
  if (of === ALL) await work.isRefused();

  for (const each of faults) each.none();
  if (fault === 'pin_refused') touchPin(first);
  await Promise.all(of.map((index) => until('serving', index)));
  await work.acknowledges();

  await work.stop();
  expect(own.fleet.replicas.map(({ process }) => process.pid)).toEqual(pids);
  expect(own.fleet.replica(first).process.log()).toContain(tokenFaults[fault]);
});

test('a replica whose token hangs ends when it is told to', async () => {
  const { process } = own.fleet.replica(1);
  faults[0]?.set('hang');
  await until('silent', 1);
  process.signal('SIGTERM');
  await process.exited(); // nobody else kills it
  expect(process.log()).toContain('hangs in the PKCS#11 module');
  faults[0]?.none();
  await process.start();
});
