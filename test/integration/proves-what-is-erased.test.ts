import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { create, toBinary } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exitCodes } from '../../cli/exit-codes.ts';
import { GrantSigner } from '../../frontend/grant-signer.ts';
import { toHex } from '../../primitives/bytes.ts';
import { systemClock } from '../../primitives/clock.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type Attempts, AttemptsSchema, ErasureSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ForgetRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { eraseTranscript } from '../../protocol/transcripts.ts';
import { guess, voteRequest } from './support/attempt.ts';
import { CODE, type Draft, enrolled, erasure } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

// An erasure is proved by what replicas sign: each once it holds no seed of the record, and nothing that could make it again. A replica
// that starts has another ticket secret, and so it need not wait for the hour to end.

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1, settings: { sweep_interval_ms: 200 } });
});

afterAll(() => own?.stop());

async function restart(...indices: number[]): Promise<void> {
  const processes = indices.map((index) => own.fleet.replica(index).process);
  await Promise.all(processes.map((process) => process.stop()));
  await Promise.all(processes.map((process) => process.start()));
}

/** Who signed, and who will; asked for until replicas that started have connected. */
async function expectErased(recordId: string, expected: { readonly erased: readonly number[]; readonly pending: readonly number[] }) {
  const told = async () => {
    const { erased, pending } = await own.world.device().erase(recordId);
    return JSON.stringify({ erased, pending });
  };
  expect(await eventually(JSON.stringify(expected), told)).toBe(JSON.stringify(expected));
}

/** A guard that holds a generation counts a point of it, or says that it counted another one before: whatever etcd says. */
async function guardSays(index: number, draft: Draft): Promise<string> {
  const said = await refusalOf(own.world.peer(index).calls.vote(voteRequest(draft, await guess(own.world, draft, 'a code'), 1)));
  return said === 'ACCEPTED' || said === 'ATTEMPT_CONFLICT' ? 'held' : said;
}

async function bkvctl(...args: string[]): Promise<{ code: number; document: Record<string, unknown> }> {
  const program = [join(packageRoot, 'dist/cli/main.js'), '--client', own.fleet.clientFile, '--json', ...args];
  const run = promisify(execFile)(process.execPath, program);
  const { code = 0, stdout } = (await run.catch((error) => error)) as { code?: number; stdout: string };
  return { code, document: JSON.parse(stdout) };
}

test('what etcd forgot takes no first enrolment, and can be erased by the name that replicas say', async () => {
  const { world } = own;
  const device = world.device();
  const draft = await enrolled(world, 'forgotten');
  await world.etcd.commit({ conditions: [], writes: [{ delete: `a/${toHex(draft.rid)}` }], otherwise: [] });
  const enrol = () =>
    device.enroll({ recordId: 'forgotten', code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy: { limit: 3, coolDownMs: 0 } });
  await expect(enrol()).rejects.toMatchObject({ code: 'GENERATION_CONFLICT', message: expect.stringContaining(toHex(draft.g)) });
  await expect(device.eraseGeneration('forgotten', randomBytes(16))).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
  expect(await device.eraseGeneration('forgotten', draft.g)).toMatchObject({ erased: [], pending: [1, 2, 3] });
  expect((await enrol()).holders).toEqual([1, 2, 3]);
});

test('a replica signs once it can make the seed no more, and the same call collects what was missing', async () => {
  await enrolled(own.world, 'proved');
  await restart(1, 2);
  await expectErased('proved', { erased: [1, 2], pending: [3] });
  await restart(3);
  await expectErased('proved', { erased: [1, 2, 3], pending: [] });
});

test('what they signed is kept, and verified without asking anybody', async () => {
  const file = join(own.fleet.directory, 'erasure');
  expect(await bkvctl('erase', 'proved', '--yes', '--receipts', file)).toMatchObject({
    code: exitCodes.OK,
    document: { erased: [1, 2, 3] },
  });
  const verified = await bkvctl('receipt', 'verify', file);
  expect(verified).toMatchObject({ code: exitCodes.OK, document: { erasures: [1, 2, 3].map((replica) => ({ replica })) } });

  const kept = JSON.parse(readFileSync(file, 'utf8'));
  const [first, ...others] = kept.erasures;
  for (const change of [{ replica: 2 }, { g: '00'.repeat(16) }, { rid: '00'.repeat(32) }, { signature: others[0].signature }]) {
    writeFileSync(`${file}.changed`, JSON.stringify({ ...kept, erasures: [{ ...first, ...change }, ...others] }));
    expect(await bkvctl('receipt', 'verify', `${file}.changed`), JSON.stringify(change)).toMatchObject({ code: exitCodes.UNTRUSTED });
  }
});

test('a replica that was away until the grant had expired destroys what t others signed that they did, and before that nothing', async () => {
  const draft = await enrolled(own.world, 'expired');
  const third = own.fleet.replica(3).process;
  await third.stop();
  await expectErased('expired', { erased: [], pending: [1, 2] });
  await letGrantExpire(draft);
  await third.start();
  expect(await guardSays(3, draft)).toBe('held'); // 1 and 2 can still make their seeds again
  await restart(1, 2);
  expect(await eventually('GENERATION_UNKNOWN', () => guardSays(3, draft))).toBe('GENERATION_UNKNOWN');
});

test('of a record that was enrolled again since, those that were away sign too, and what was enrolled stays', async () => {
  const device = own.world.device();
  const draft = await enrolled(own.world, 'again');
  const third = own.fleet.replica(3).process;
  await third.stop();
  await expectErased('again', { erased: [], pending: [1, 2] });
  const backupKey = new SecretBytes(randomBytes(32));
  await device.enroll({ recordId: 'again', code: CODE, backupKey, policy: { limit: 3, coolDownMs: 0 } });
  await third.start();
  const collected = async () => {
    const { erased, pending } = await device.eraseGeneration('again', draft.g);
    return JSON.stringify({ erased, pending });
  };
  expect(await eventually('{"erased":[3],"pending":[1,2]}', collected)).toBe('{"erased":[3],"pending":[1,2]}');
  await restart(1, 2);
  expect(await eventually('{"erased":[1,2,3],"pending":[]}', collected)).toBe('{"erased":[1,2,3],"pending":[]}');
  const args = ['erase', 'again', '--yes', '--generation', toHex(draft.g)];
  expect(await bkvctl(...args)).toMatchObject({ document: { generation: toHex(draft.g), erased: [1, 2, 3] } });
  expect((await device.recover({ recordId: 'again', code: CODE, renew: false })).backupKey.expose()).toEqual(backupKey.expose());
  await expect(device.eraseGeneration('again', randomBytes(16))).rejects.toMatchObject({ code: 'GENERATION_UNKNOWN' });
});

test('one that missed an enrolment signs that it is erased once it was shown what that was, which those can who destroyed it', async () => {
  const { world, fleet } = own;
  const first = await enrolled(world, 'missed');
  const third = fleet.replica(3).process;
  await third.stop();
  const second = await enrolled(world, 'missed', { replaces: first, among: [1, 2] });
  await expectErased('missed', { erased: [], pending: [1, 2] });
  await third.start();
  const byName = create(ForgetRequestSchema, { rid: second.rid, g: second.g, erasure: await erasure(world, second) });
  for (const _ of ['it can make seeds of before', 'it cannot']) {
    expect((await world.peer(3).calls.forget(byName)).erased).toBeUndefined();
    expect(await guardSays(3, first)).toBe('held');
    await restart(3);
  }
  const collected = async () => {
    const { erased, pending } = await world.device().eraseGeneration('missed', second.g);
    return JSON.stringify({ erased, pending });
  };
  expect(await eventually('{"erased":[],"pending":[1,2,3]}', collected)).toBe('{"erased":[],"pending":[1,2,3]}');
  expect(await guardSays(3, first)).toBe('GENERATION_UNKNOWN');
  await restart(1, 2, 3);
  expect(await eventually('{"erased":[1,2,3],"pending":[]}', collected)).toBe('{"erased":[1,2,3],"pending":[]}');
});

/** The tombstone has the grant as it was signed an hour ago. */
async function letGrantExpire({ file, recordId, rid, g }: Draft): Promise<void> {
  const hourAgo = { ...systemClock, now: () => systemClock.now() - 3_600_000 };
  const signer = new GrantSigner({ kid: file.grant.kid, pem: readFileSync(file.grant.key, 'utf8'), clock: hourAgo });
  const { fleet, tenant } = file;
  const grant = await signer.sign({ fleet, tenant, operation: 'erase', recordId, g, authorises: eraseTranscript(rid, g).digest });
  const tombstone = (await own.world.store.attempts(rid)) as Attempts;
  const value = toBinary(AttemptsSchema, create(AttemptsSchema, { ...tombstone, erasure: create(ErasureSchema, { grant }) }));
  await own.world.etcd.commit({ conditions: [], writes: [{ put: `a/${toHex(rid)}`, value }], otherwise: [] });
}
