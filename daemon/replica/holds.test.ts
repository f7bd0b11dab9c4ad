import { create } from '@bufbuild/protobuf';
import { expect, test, vi } from 'vitest';
import { publicKeyOf, randomScalar } from '../../client/curve.ts';
import { systemClock } from '../../primitives/clock.ts';
import { type HoldsResponse, HoldsResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { HoldState } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { clientOf, enrolInput, RECORD } from '../../test/harness/soft-client.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import type { Fleet } from './fleet.ts';
import { askingElsewhere, heldOf } from './holds.ts';

// What holders say of their holds, one of which may say anything.

const soft = new SoftFleet();
await clientOf(soft).enroll(enrolInput({ policy: { limit: 3, coolDownMs: 0, holdMs: 1000 } }));
const { body } = soft.bodyOf(RECORD);
const B = publicKeyOf(randomScalar().expose());
const told = (index: number) => ({
  index,
  attempt: 1,
  pointHash: new Uint8Array(32).fill(1),
  blindedBase: B,
  untilMs: 5n,
  state: HoldState.HELD,
});

function fleet(said: (index: number) => Promise<HoldsResponse>): Fleet {
  const { statement } = soft;
  return {
    vault: { statement, clock: systemClock, self: statement.replicas[0] },
    participants: [1, 2, 3].map((index) => ({ index, calls: { holds: () => said(index) } })),
    events: { untrusted: vi.fn() },
  } as unknown as Fleet;
}

const honest = async (index: number) => create(HoldsResponseSchema, { held: [told(index)] });
const held = async (liar: (index: number) => object) =>
  (
    await heldOf(
      fleet(async (index) => (index === 1 ? create(HoldsResponseSchema, { held: [liar(index)] }) : honest(index))),
      body,
    )
  ).map(({ index }) => index);

test('each holder’s own word is handed on', async () => {
  expect((await heldOf(fleet(honest), body)).map(({ index }) => index)).toEqual([1, 2, 3]);
});

test.each([
  ['a point’s name of another length', { pointHash: new Uint8Array(200_000) }],
  ['a base that is none', { blindedBase: new Uint8Array(33) }],
  ['a number beyond the limit', { attempt: 4 }],
  ['a number before the first', { attempt: 0 }],
  ['a time that no clock shows', { untilMs: 2n ** 63n }],
  ['a state that is none', { state: 9 }],
])('%s is handed on to nobody, and hides nothing that others say', async (_, lie) => {
  expect(await held((index) => ({ ...told(index), ...lie }))).toEqual([2, 3]);
});

test('what one says in another one’s name is its own', async () => {
  expect(await held(() => told(2))).toEqual([1, 2, 3]);
});

test('no more is handed on of one holder than there can be attempts', async () => {
  const many = async (index: number) => create(HoldsResponseSchema, { held: Array(index === 1 ? 3000 : 1).fill(told(index)) });
  expect(await heldOf(fleet(many), body)).toHaveLength(102);
});

test('of t−1 others one must say what the owner said', async () => {
  const { vault, participants } = fleet(async (index) => {
    if (index > 1) throw new Error('away');
    return honest(index);
  });
  await expect(askingElsewhere(vault, participants)(body)).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
});
