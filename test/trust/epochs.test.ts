import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WitnessedPolicy } from '../../client/trust-policy.ts';
import { VaultClient } from '../../client/vault-client.ts';
import type { CheckCode } from '../../fleet/verify/check-codes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { encodeStatement, parseStatement, type Statement } from '../../protocol/statement.ts';
import { DevFleet } from '../harness/dev-fleet.ts';
import { bkvctl, nextEpoch, publishBundle, putStatement, untilPasses, witnessedClientFile } from '../harness/notarised-fleet.ts';
import { quickHash } from '../harness/soft-client.ts';
import { SoftMemory, SoftNotary } from '../harness/soft-notary.ts';

// A fleet whose statements operator and witness sign goes from epoch 1 to 2; devices that trust the witness go with it.

const RECORD = 'alice';
const CODE = 'a code for epochs';
const backupKey = new SecretBytes(randomBytes(32));
const enrolment = { recordId: RECORD, code: CODE, backupKey, policy: { limit: 5, coolDownMs: 0 } };
let fleet: DevFleet;
let notary: SoftNotary;
let first: Statement;
let second: Statement;
let clientFile: string;
let alice: VaultClient;
const memory = new SoftMemory();

/** A device with a memory of its own. */
function device(changes: Partial<WitnessedPolicy> = {}): VaultClient {
  const { fleet: name, tenant } = fleet.client;
  const policy = notary.policy({ memory: new SoftMemory(), ...changes });
  return new VaultClient({ transport: fleet.open().transport, policy, fleet: name, tenant, argon2id: quickHash });
}

const expectRefused = (act: Promise<unknown>, check: CheckCode) =>
  expect(act).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED', details: { check } });

const stopAll = () => Promise.all(fleet.replicas.map(({ process }) => process.stop()));
const startAll = () => Promise.all(fleet.replicas.map(({ process }) => process.start()));

/** Waits until a device without memory finds the fleet as expected: replicas look for bundles a few times a second. */
const untilRefused = (check: CheckCode) => untilPasses(() => expectRefused(device().describe(RECORD), check));
const untilTrusted = () => untilPasses(() => device().describe(RECORD));

beforeAll(async () => {
  fleet = await DevFleet.start({ etcdMembers: 1, settings: { bundle_interval_ms: 200 } });
  notary = await SoftNotary.create(Date.now());
  first = fleet.statement;
  second = nextEpoch(first);
  notary.append(first.bytes);
  clientFile = witnessedClientFile(fleet, notary);
});

afterAll(() => fleet?.stop());

test('without a bundle a device that trusts a witness refuses the fleet, and one with a pin does not', async () => {
  await expectRefused(device().enroll(enrolment), 'signature-missing');
  await expect(fleet.open().vault.describe(RECORD)).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
});

test('once the operator published it, every replica hands it out, and a device enrols', async () => {
  expect(publishBundle(fleet, notary, first.bytes)).toMatchObject({ epoch: 1, tree_size: 1 });
  alice = device({ memory });
  await untilPasses(async () => {
    expect(await alice.enroll(enrolment)).toMatchObject({
      epoch: 1,
    });
  });
  expect(memory.remembered).toMatchObject({ epochLeast: 1, checkpoint: { size: 1 } });
});

test('a device whose policy says epoch 2 or later refuses epoch 1', async () => {
  await untilTrusted();
  await expectRefused(device({ epochLeast: 2 }).recover({ recordId: RECORD, code: CODE }), 'statement-older');
  expect(await fleet.open().vault.describe(RECORD)).toMatchObject({ attemptsUsed: 0 });
});

test('the bundle of another fleet is not published', async () => {
  const renamed = parseStatement(encodeStatement({ ...second.document, fleet: 'other' }));
  notary.append(renamed.bytes);
  expect(() => publishBundle(fleet, notary, renamed.bytes)).toThrow();
  notary.entries.pop();
});

test('bkvctl trusts by the client file’s anchors, and remembers in a file', () => {
  const status = JSON.parse(bkvctl('--json', '--client', clientFile, 'fleet', 'status'));
  expect(status).toMatchObject({
    epoch: 1,
    serving: 3,
    replicas: [{ statement: 'trusted' }, { statement: 'trusted' }, { statement: 'trusted' }],
  });
  expect(JSON.parse(bkvctl('--json', '--client', clientFile, 'describe', RECORD))).toMatchObject({ state: 'live' });
  expect(JSON.parse(readFileSync(join(fleet.directory, 'trust-memory.json'), 'utf8'))).toMatchObject({
    epoch_least: 1,
    checkpoint: { size: 1 },
  });
});

test('a device with epoch 1 meets epoch 2: it takes the bundle from the reply, verifies it, and its record moves', async () => {
  notary.append(second.bytes);
  publishBundle(fleet, notary, second.bytes);
  await stopAll();
  putStatement(fleet, second);
  await startAll();
  const { backupKey: recovered, renewal } = await alice.recover({ recordId: RECORD, code: CODE });
  expect(recovered.expose()).toEqual(backupKey.expose());
  expect(renewal).toMatchObject({ state: 'renewed', result: { epoch: 2, holders: [1, 2, 3] } });
  expect((await fleet.store.attempts(fleet.rid(RECORD)))?.epoch).toBe(2n);
  expect(memory.remembered).toMatchObject({ epochLeast: 2, checkpoint: { size: 2 } });
  await device({ epochLeast: 2 }).describe(RECORD);
  expect(JSON.parse(bkvctl('--json', '--client', clientFile, 'fleet', 'status'))).toMatchObject({ epoch: 2, serving: 3 });
});

test('an account that nobody knows enrols under epoch 2, also from a device that knew epoch 1 alone', async () => {
  expect(await alice.enroll({ ...enrolment, recordId: 'bob' })).toMatchObject({ epoch: 2 });
});

test('a forked log is refused by whoever saw the true one', async () => {
  const fork = notary.fork([Buffer.from('another past'), second.bytes, Buffer.from('more')]);
  publishBundle(fleet, fork, second.bytes);
  await untilPasses(() => expectRefused(device({ memory }).describe(RECORD), 'log-forked'));
  publishBundle(fleet, notary, second.bytes);
  await untilTrusted();
  expect(memory.remembered).toMatchObject({ epochLeast: 2, checkpoint: { size: 2 } });
});

test('a stale checkpoint is refused', async () => {
  publishBundle(fleet, notary, second.bytes, Date.now() - 8 * 24 * 3600 * 1000);
  await untilRefused('checkpoint-stale');
});

test('a fleet that goes back to epoch 1 is refused by whoever saw epoch 2', async () => {
  publishBundle(fleet, notary, first.bytes);
  await stopAll();
  putStatement(fleet, first);
  await startAll();
  await expectRefused(device({ memory }).describe(RECORD), 'statement-older');
  expect(memory.remembered).toMatchObject({ epochLeast: 2 });
});

test('and by whoever saw nothing, once epoch 2 is in force', async () => {
  await untilTrusted();
  notary.enforce(second, Date.now(), Date.now());
  publishBundle(fleet, notary, first.bytes);
  await untilRefused('statement-superseded');
});

test('a replica whose token is not the one in the statement does not start', async () => {
  const replica = fleet.replica(2);
  await replica.process.stop();
  const { replicas } = first.document;
  for (const changes of [{ serial: '0000' }, { serial: replicas[0]?.token.serial ?? '' }]) {
    const changed = replicas.map((one) => {
      if (one.index === 2) return { ...one, token: { ...one.token, ...changes } };
      return one.index === 1 ? { ...one, token: { ...one.token, serial: '1111' } } : one;
    });
    putStatement(fleet, parseStatement(encodeStatement({ ...first.document, replicas: changed })));
    await replica.process.launch();
    await replica.process.exited();
    expect(replica.process.logTail(2)).toContain('STATEMENT_MISMATCH');
  }
  writeFileSync(join(fleet.directory, 'statement.json'), first.bytes);
});
