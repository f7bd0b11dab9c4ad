import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VaultClient } from '../../client/vault-client.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { BeginRecoveryRequest } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { parsePoint } from '../../protocol/point.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';
import { CuttingProxy } from './support/cutting-proxy.ts';
import { LossyTransport } from './support/lossy-transport.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';
import type { TokenUses } from './support/token-uses.ts';
import { World } from './support/world.ts';

const LIMIT = 5;
const CODE = 'correct horse';

let world: World;
let proxies: CuttingProxy[];

beforeAll(async () => {
  world = await World.open();
  proxies = await Promise.all(world.client.addresses.map((address) => CuttingProxy.before(address)));
});

afterAll(() => {
  for (const proxy of proxies ?? []) proxy.close();
  world?.close();
});

test('two devices with wrong codes and cut connections have exactly the limit evaluated, and the same point again is free', async () => {
  const recordId = 'limit';
  const backupKey = new SecretBytes(randomBytes(32));
  await world.device().enroll({ recordId, code: CODE, backupKey, policy: { limit: LIMIT, coolDownMs: 0 } });
  const tokens = world.watchTokens();

  const devices = [0, 1].map(
    () => new LossyTransport(world.transport({ ...world.client, addresses: proxies.map(({ address }) => address) })),
  );
  const outcomes = await Promise.all(
    devices.map(({ transport }, i) => guessUntilExhausted(world.device(transport), recordId, `device ${i}`)),
  );

  expect(outcomes.flat().filter((outcome) => outcome === 'WRONG_CODE')).toHaveLength(LIMIT);
  expect(proxies.reduce((sum, { cut }) => sum + cut, 0)).toBeGreaterThan(LIMIT);
  await expectEvaluated(recordId, tokens);

  // Whoever paid for a point has it for ever; whoever did not gets nothing, not even with the right code.
  const paid = await paidRequests(recordId, devices);
  expect(paid).toHaveLength(LIMIT);
  for (const request of paid) expect((await world.transport().beginRecovery(request)).evaluations.length).toBeGreaterThanOrEqual(2);
  expect(await refusalOf(world.device().recover({ recordId, code: CODE }))).toBe('EXHAUSTED');
  await expectEvaluated(recordId, tokens);
});

/** Every reply to a first try is cut off. */
async function guessUntilExhausted(device: VaultClient, recordId: string, name: string): Promise<string[]> {
  const outcomes: string[] = [];
  while (!outcomes.includes('EXHAUSTED')) {
    const cutting = (step: string) => {
      if (step === 'asking') for (const proxy of proxies) proxy.arm();
    };
    outcomes.push(await refusalOf(device.recover({ recordId, code: `wrong ${name} ${outcomes.length}`, progress: cutting })));
    expect(outcomes.length).toBeLessThanOrEqual(LIMIT + 1);
  }
  return outcomes;
}

/** The requests whose points the register counted, each once. */
async function paidRequests(recordId: string, devices: readonly LossyTransport[]): Promise<BeginRecoveryRequest[]> {
  const counted = await countedHashes(recordId);
  const requests = devices.flatMap((device) => device.requests<BeginRecoveryRequest>('beginRecovery'));
  const distinct = new Map(requests.map((request) => [hashOf(request.point), request]));
  return [...distinct].filter(([hash]) => counted.has(hash)).map(([, request]) => request);
}

async function countedHashes(recordId: string): Promise<Set<string>> {
  return new Set((await world.store.attempts(world.rid(recordId)))?.points.map(({ hash }) => toHex(hash)));
}

/** At the tokens: under this record's seeds, the counted points and nothing else. */
async function expectEvaluated(recordId: string, tokens: readonly TokenUses[]): Promise<void> {
  const counted = await countedHashes(recordId);
  expect(counted.size).toBe(LIMIT);
  const { body } = await world.committed(world.rid(recordId));
  const subRecords = await stolenSubRecords(world, body);
  expect(subRecords.length).toBeGreaterThanOrEqual(2);
  const seen = new Set<string>();
  for (const subRecord of subRecords) for (const x of tokens[subRecord.index - 1]?.evaluatedUnder(body, subRecord) ?? []) seen.add(x);
  expect(seen.size).toBe(LIMIT);
  for (const x of seen)
    expect(['02', '03'].map((sign) => hashOf(Buffer.from(sign + x, 'hex'))).some((hash) => counted.has(hash))).toBe(true);
}

const hashOf = (point: Uint8Array): string => toHex(pointTranscript(parsePoint(point, 'point')).digest);
