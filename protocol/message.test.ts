import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GrantedPointSchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { CountedSchema, RecallResponseSchema, VoteRequestSchema } from '../proto/gen/backupvault/v1/replica_pb.ts';
import { goldenBody } from '../test/golden/arguments.ts';
import { MAX_ATTEMPTS, MAX_REPLICAS } from './body.ts';
import { MOST_GRANT_LENGTH } from './grant.ts';
import { MAX_PEER_MESSAGE_LENGTH } from './message.ts';

const grant = 'x'.repeat(MOST_GRANT_LENGTH);
const point = create(GrantedPointSchema, { hash: new Uint8Array(32), grant });

test('the last attempt of all, with every earlier one shown, goes from replica to replica', () => {
  const account = { tenant: 't'.repeat(63), recordId: 'r'.repeat(128) };
  const request = create(VoteRequestSchema, { account, grant, shown: Array(MAX_ATTEMPTS - 1).fill(point), point: new Uint8Array(33) });
  expect(toBinary(VoteRequestSchema, request).length).toBeLessThan(MAX_PEER_MESSAGE_LENGTH - 1024);
});

test('so does all that a guard remembers of a record', () => {
  const [share] = goldenBody.shares;
  const body = { ...goldenBody, shares: Array(MAX_REPLICAS).fill(share) };
  const prepared = Array.from({ length: MAX_REPLICAS }, (_, i) => ({ index: i + 1, signature: new Uint8Array(64) }));
  const held = { body, subRecord: { index: 1, value: new Uint8Array(72), signature: new Uint8Array(64) }, prepared };
  const counted = Array.from({ length: MAX_ATTEMPTS }, (_, i) => create(CountedSchema, { attempt: i + 1, point, atMs: 1n << 50n }));
  const decided = Array(MAX_ATTEMPTS).fill({
    attempt: 1,
    pointHash: new Uint8Array(32),
    signature: new Uint8Array(64),
    blindedBase: new Uint8Array(33),
  });
  const list = { counter: 1n << 62n, content: new Uint8Array(8192), signature: new Uint8Array(64) };
  const response = create(RecallResponseSchema, { live: held, prepared: Array(8).fill(held), counted, decided, list });
  expect(toBinary(RecallResponseSchema, response).length).toBeLessThan(MAX_PEER_MESSAGE_LENGTH - 1024);
});
