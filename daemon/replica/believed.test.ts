import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { systemClock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { BodySchema, type ShownGeneration, ShownGenerationSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type ShowRequest, ShowResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import type { Signed } from '../../protocol/signature.ts';
import { preparedTranscript } from '../../protocol/transcripts.ts';
import { clientOf, enrolInput, RECORD } from '../../test/harness/soft-client.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import type { Generation } from '../ledger/guarded.ts';
import { receiptKeys } from '../vault/p256.ts';
import { generationWithHash } from './believed.ts';
import type { Fleet } from './fleet.ts';

// Replica 1 of five, t = 3, coordinates and asks others what etcd names.

const soft = new SoftFleet({ replicas: 5 });
await clientOf(soft).enroll(enrolInput());
const record: HashedBody = soft.bodyOf(RECORD);
const { body, bodyHash } = record;

const signatures = new Map(
  [1, 2, 3, 4, 5].map((index) => {
    const of = { fleet: body.fleet, epoch: 1, index, rid: body.rid, g: body.g };
    return [index, soft.replica(index).sign(preparedTranscript(of, body.previous, bodyHash))];
  }),
);
const signed = (index: number): Signed => ({ index, signature: signatures.get(index) as Uint8Array });
const invented = (index: number): Signed => ({ index, signature: new Uint8Array(64).fill(index) });

/** The record with these as `prepared`, and a body that is changed. */
const shown = (prepared: Signed[], change: MessageInitShape<typeof BodySchema> = {}): ShownGeneration =>
  create(ShownGenerationSchema, { body: create(BodySchema, { ...body, ...change } as never), prepared });
const shownBy = (...indices: number[]) => shown(indices.map(signed));

/** What each answers, quickest first; one that is not here does not answer. */
let answers: Map<number, ShownGeneration | undefined>;
let own: { live?: Generation; prepared: Generation[] };
const asked = vi.fn();

beforeEach(() => {
  asked.mockReset();
  own = { prepared: [] };
  answers = new Map();
});

function ask(hash = bodyHash) {
  const order = [...answers.keys()];
  const show = async (index: number, request: ShowRequest) => {
    asked(index, request);
    if (!answers.has(index)) throw new VaultError('OUTCOME_UNKNOWN', 'it does not answer');
    for (let i = 0; i < 10 * order.indexOf(index); i++) await Promise.resolve();
    const answer = answers.get(index);
    return create(ShowResponseSchema, answer ? { shown: answer } : {});
  };
  const { statement } = soft;
  const vault = { statement, receiptKeys: receiptKeys(statement), guard: { read: async () => own }, clock: systemClock };
  const participants = [1, 2, 3, 4, 5].map((index) => ({ index, calls: { show: (request: ShowRequest) => show(index, request) } }));
  return generationWithHash({ vault, participants } as unknown as Fleet, body.rid, hash);
}

/** The true body, with `prepared` of these. */
async function expectShown(indices: readonly number[]): Promise<void> {
  const found = await ask();
  expect(toHex(found.bodyHash)).toBe(toHex(bodyHash));
  expect(toHex(found.body.ownerKey)).toBe(toHex(body.ownerKey));
  expect(found.prepared.map(({ index, signature }) => [index, toHex(signature)])).toEqual(
    indices.map((index) => [index, toHex(signed(index).signature)]),
  );
}

const held = (prepared: Signed[]) => ({ ...record, prepared }) as unknown as Generation;

describe('the generation that etcd names', () => {
  it('is that which is served here, and nobody is asked', async () => {
    own = { live: held([2, 3, 4].map(signed)), prepared: [] };
    await expectShown([2, 3, 4]);
    expect(asked).not.toHaveBeenCalled();
  });

  it('is shown by others where it is not held here, or prepared alone', async () => {
    for (const prepared of [[], [held([])]]) {
      own = { prepared };
      answers.set(2, shownBy(2, 3, 4));
      await expectShown([2, 3, 4]);
    }
    const [[, request]] = asked.mock.calls as [[number, ShowRequest]];
    expect([request.rid, request.bodyHash].map(toHex)).toEqual([body.rid, bodyHash].map(toHex));
  });

  it('comes with what each signed alone, where nobody serves it yet', async () => {
    for (const index of [2, 4, 5]) answers.set(index, shownBy(index));
    await expectShown([2, 4, 5]);
  });

  it('comes with nothing where fewer than t signed it', async () => {
    for (const index of [2, 4]) answers.set(index, shownBy(index));
    await expectShown([]);
  });

  it.each<[string, ShownGeneration | undefined]>([
    ['nothing', undefined],
    ['another body, which t never signed', shown([2, 3, 4].map(signed), { ownerKey: new Uint8Array(32) })],
    ['the body of a higher limit', shown([], { policy: { limit: 100, coolDownMs: 0n } })],
    ['what is no body', shown([2, 3, 4].map(signed), { rid: body.rid.slice(1) })],
    ['the body, and no signature', shown([])],
    ['the body, and signatures that it invents', shown([1, 2, 3, 4, 5].map(invented))],
    ['the body, and the signature of one under every name', shown([1, 3, 4, 5].map((index) => ({ ...signed(2), index })))],
  ])('is what the others show, where one shows %s first', async (_, lie) => {
    answers = new Map([
      [5, lie],
      [2, shownBy(2, 3, 4)],
    ]);
    await expectShown([2, 3, 4]);
  });

  it('is nobody’s who shows another one: then it is waited for', async () => {
    answers.set(5, shown([2, 3, 4].map(signed), { ownerKey: new Uint8Array(32) }));
    for (const index of [2, 3]) answers.set(index, undefined);
    await expect(ask()).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  });

  it('is not what is held here of another body', async () => {
    own = { live: held([2, 3, 4].map(signed)), prepared: [held([])] };
    answers.set(2, shownBy(2, 3, 4));
    await expect(ask(bodyHash.map((byte) => byte ^ 1))).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  });
});
