import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { BodySchema, ShownGenerationSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { CountedSchema, RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parseRecalled } from './reconcile.ts';

// A hostile replica says what it likes of its guard, to replicas that must not fall over it after a restore.

type Recalled = MessageInitShape<typeof RecallResponseSchema>;

const point = Uint8Array.of(2, ...new Uint8Array(32).fill(1));
const hash = new Uint8Array(32);
const shares = [1, 2, 3].map((index) => ({ index, x: index, mask: hash, releaseMask: hash }));
const body = create(BodySchema, {
  ...{ version: 1, fleet: 'test', epoch: 1n, rid: hash, g: new Uint8Array(16), threshold: 2, shares, policy: { limit: 3 } },
  ...{ ownerKey: hash, previous: new Uint8Array(0), payload: new Uint8Array(60), proofKey: point, releaseBase: point, number: 1n },
  line: new Uint8Array(16),
});
const generation = () => create(ShownGenerationSchema, { body, prepared: [{ index: 2, signature: new Uint8Array(64) }] });
const counted = (attempt: number, atMs = 0n) => create(CountedSchema, { attempt, point: { hash }, atMs });
const parse = (recalled: Recalled) => parseRecalled(create(RecallResponseSchema, recalled), 2);

it('takes what a guard can hold', () => {
  const { live, prepared, counted: attempts } = parse({ live: generation(), prepared: [generation()], counted: [counted(1), counted(3)] });
  for (const shown of [live, ...prepared]) {
    expect(shown?.body.number).toBe(1n);
    expect(shown?.prepared).toEqual([{ index: 2, signature: new Uint8Array(64) }]);
  }
  expect(prepared).toHaveLength(1);
  expect([...attempts.keys()]).toEqual([1, 3]);
  expect(parse({}).live).toBeUndefined();
});

it.each<[string, Recalled]>([
  ['an attempt beyond the limit', { live: generation(), counted: [counted(4)] }],
  ['a great many attempts', { live: generation(), counted: [counted(2 ** 32 - 1)] }],
  ['attempt 0', { live: generation(), counted: [counted(0)] }],
  ['attempts on nothing', { counted: [counted(1)] }],
  ['an attempt without a point', { live: generation(), counted: [create(CountedSchema, { attempt: 1 })] }],
  ['a time beyond all times', { live: generation(), counted: [counted(1, 2n ** 60n)] }],
  ['a generation without a body', { live: create(ShownGenerationSchema, { prepared: generation().prepared }) }],
  ['a prepared one without a body', { prepared: [create(ShownGenerationSchema)] }],
  ['a body that none can be', { live: create(ShownGenerationSchema, { body: { ...body, rid: hash.slice(1) } }) }],
])('refuses %s', (_, recalled) => {
  expect(() => parse(recalled)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
});
