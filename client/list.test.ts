import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { beforeEach, expect, test } from 'vitest';
import { toHex, utf8 } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { ListedSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { listDigest } from '../protocol/owner-list.ts';
import { CODE, clientOf, enrolInput, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { ownerKey } from './derive.ts';

// What the owner keeps beside a record.

let fleet: SoftFleet;
const input = enrolInput();
const { backupKey } = input;
const put = (content: string, counter: bigint, key = backupKey) =>
  clientOf(fleet).putList({ recordId: RECORD, backupKey: key, content: utf8(content), counter });
const read = async () => {
  const { list } = await clientOf(fleet).list(RECORD);
  return list && `${list.counter} ${new TextDecoder().decode(list.content)}`;
};

beforeEach(async () => {
  fleet = new SoftFleet();
  await clientOf(fleet).enroll(input);
});

test('there is none at first; one that is written is read by any device, with the owner key that it is signed by', async () => {
  expect(await read()).toBeUndefined();
  expect(await put('one door', 1n)).toEqual([1, 2, 3]);
  expect(await read()).toBe('1 one door');
  const { ownerKey } = await clientOf(fleet).list(RECORD, backupKey);
  expect(toHex(ownerKey)).toBe(toHex(fleet.bodyOf(RECORD).body.ownerKey));
});

test('a device that did not read what another one wrote does not write over it', async () => {
  await put('one door', 1n);
  await put('one door', 1n); // the same again
  await expect(put('another door', 1n)).rejects.toMatchObject({ code: 'LIST_OUTDATED' });
  await put('two doors', 2n);
  expect(await read()).toBe('2 two doors');
});

test('it stays where the code is changed, and goes with an erasure or another backup key', async () => {
  await put('one door', 1n);
  await clientOf(fleet).enroll({ ...input, code: WRONG });
  expect(await read()).toBe('1 one door');
  const other = new SecretBytes(randomBytes(32));
  await clientOf(fleet).enroll({ ...input, backupKey: other, replaces: backupKey });
  expect(await read()).toBeUndefined();
  await put('of another key', 1n, other);
  await clientOf(fleet).erase(RECORD);
  await expect(read()).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
});

test('nobody writes without the backup key, and who has another one is told', async () => {
  const other = new SecretBytes(randomBytes(32));
  await expect(put('mine', 1n, other)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
  await expect(clientOf(fleet).list(RECORD, other)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
});

test('8 KiB are kept, and no byte more is sent', async () => {
  await put('x'.repeat(8192), 1n);
  expect((await read())?.length).toBe(8194);
  await expect(put('x'.repeat(8193), 2n)).rejects.toMatchObject({ code: 'MALFORMED' });
});

test('what is not signed by its owner, or by t holders, is believed by nobody', async () => {
  await put('one door', 1n);
  const stranger = new SecretBytes(randomBytes(32));
  fleet.tamper.describeRecord = (reply) => {
    for (const { list } of reply.lists) if (list) list.counter = 7n;
  };
  await expect(read()).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  fleet.tamper.describeRecord = (reply) => {
    reply.ownerKey = stranger.expose().slice();
  };
  await expect(read()).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  fleet.tamper.describeRecord = (reply) => {
    reply.lists = reply.lists.slice(1, 2);
  };
  await expect(read()).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false })).backupKey.expose()).toEqual(backupKey.expose());
});

test('a list that a lying holder shows, and no owner signed, is passed over', async () => {
  await put('one door', 1n);
  const { body } = fleet.bodyOf(RECORD);
  const forged = { counter: 9n, content: utf8('a liar’s'), signature: new Uint8Array(64).fill(1) };
  fleet.tamper.describeRecord = (reply) => {
    const said = fleet.replica(1).listed(fleet.statement, body, forged);
    reply.lists = reply.lists.map((each) => (each.index === 1 ? create(ListedSchema, { ...said, list: forged }) : each));
  };
  expect(await read()).toBe('1 one door');
});

test('of two of one counter, which two devices wrote at once, the reader is told', async () => {
  await put('one door', 1n);
  const { body } = fleet.bodyOf(RECORD);
  const counter = 1n;
  const content = utf8('another door');
  const signature = ownerKey(backupKey, body.rid).sign(listDigest(fleet.name, body.rid, { counter, content }));
  const other = { counter, content, signature };
  fleet.tamper.describeRecord = (reply) => {
    const said = fleet.replica(1).listed(fleet.statement, body, other);
    reply.lists = reply.lists.map((each) => (each.index === 1 ? create(ListedSchema, { ...said, list: other }) : each));
  };
  const { list, rivals } = await clientOf(fleet).list(RECORD);
  expect([list, ...rivals].map((each) => new TextDecoder().decode(each?.content))).toEqual(['one door', 'another door']);
});
