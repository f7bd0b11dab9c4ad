import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { proofKey, signWithProofKey } from '../../client/derive.ts';
import type { VaultTransport } from '../../client/transport.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { toHex } from '../../primitives/bytes.ts';
import { type ErrorCode, VaultError } from '../../primitives/errors.ts';
import { type Body, BodySchema, PolicySchema, type Ticket } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  BeginEnrollmentRequestSchema,
  type FinishEnrollmentRequest,
  FinishEnrollmentRequestSchema,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { bodyTranscript, finishTranscript } from '../../protocol/transcripts.ts';
import { enrolInput, InstantClock, quickHash, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { overheard } from './recorder.ts';

// P is evaluated uncounted at BeginEnrollment, and the client's body has masks under what came out. A relay that withholds the client's
// FinishEnrollment and finishes its tickets with a body of its own, with the highest limit and as soon again as it likes, would guess at
// these masks. So whoever finishes signs by a, whose A the tickets and their seeds are bound to.

interface Scene {
  readonly fleet: SoftFleet;
  /** What the client sent, and the relay kept. */
  readonly kept: FinishEnrollmentRequest;
}

async function keepBack(): Promise<Scene> {
  const fleet = new SoftFleet();
  let kept: FinishEnrollmentRequest | undefined;
  const transport: VaultTransport = {
    ...overheard(fleet, () => {}),
    finishEnrollment: async (request) => {
      kept = request;
      throw new VaultError('FINISH_REFUSED', 'says the relay');
    },
  };
  const { name, policy } = fleet;
  const client = new VaultClient({
    transport,
    policy,
    fleet: name,
    tenant: SoftFleet.tenant,
    clock: new InstantClock(),
    argon2id: quickHash,
  });
  await expect(client.enroll(enrolInput())).rejects.toMatchObject({ code: 'FINISH_REFUSED' });
  return { fleet, kept: kept as unknown as FinishEnrollmentRequest };
}

/** Begins what the client began, once more. */
async function beginAgain({ fleet, kept }: Scene, proofKey = (kept.body as Body).proofKey): Promise<Ticket[]> {
  const { g, epoch } = kept.body as Body;
  const request = create(BeginEnrollmentRequestSchema, { recordId: RECORD, g, point: kept.point, proofKey, epoch });
  return (await fleet.beginEnrollment(request)).offers.map(({ ticket }) => ticket as Ticket);
}

/** The relay's s. */
const S = new Uint8Array(32).fill(9);

/** With a body that has other fields, signed by a of the relay's own. */
function signed({ kept }: Scene, changes: Partial<Body>, tickets = kept.tickets): FinishEnrollmentRequest {
  const body = create(BodySchema, { ...(kept.body as Body), ...changes });
  const { fleet, epoch, rid, g } = body;
  const tags = tickets.map(({ tag }) => tag);
  const signature = signWithProofKey(S, rid, g, finishTranscript({ fleet, epoch, rid, g }, bodyTranscript(body).digest, tags));
  return create(FinishEnrollmentRequestSchema, { ...kept, body, tickets, signature });
}

const OTHER = new Uint8Array(16);
const LAX = create(PolicySchema, { limit: 100, coolDownMs: 0n });

describe('a relay that keeps an enrolment back', () => {
  test('can hand it on as it is', async () => {
    const { fleet, kept } = await keepBack();
    expect((await fleet.finishEnrollment(kept)).enrolled).toHaveLength(3);
  });

  type Finish = (scene: Scene) => FinishEnrollmentRequest | Promise<FinishEnrollmentRequest>;
  const ownKey = ({ kept }: Scene) => {
    const { rid, g } = kept.body as Body;
    return proofKey(S, rid, g);
  };

  test.each<[string, ErrorCode, Finish]>([
    ['a body and an A of its own', 'TICKET_REFUSED', (scene) => signed(scene, { policy: LAX, proofKey: ownKey(scene) })],
    ['a body of its own and the client’s A', 'FINISH_REFUSED', (scene) => signed(scene, { policy: LAX })],
    [
      'a body of its own and the client’s signature',
      'FINISH_REFUSED',
      (scene) => ({ ...signed(scene, { policy: LAX }), signature: scene.kept.signature }),
    ],
    ['the client’s body under another g', 'FINISH_REFUSED', (scene) => signed(scene, { g: OTHER, line: OTHER })],
    // Votes name a body, not the seeds: what t guards know under two lots of seeds would be counted twice (test/model, body-again).
    [
      'the client’s body and tickets that it had made anew',
      'FINISH_REFUSED',
      async (scene) => ({ ...scene.kept, tickets: await beginAgain(scene) }),
    ],
    [
      'the client’s body and one such ticket',
      'FINISH_REFUSED',
      async (scene) => ({ ...scene.kept, tickets: [...scene.kept.tickets.slice(0, 2), ...(await beginAgain(scene)).slice(2)] }),
    ],
    ['the same, signed by itself', 'FINISH_REFUSED', async (scene) => signed(scene, {}, await beginAgain(scene))],
  ])('cannot finish with %s', async (_, code, finish) => {
    const scene = await keepBack();
    const { fleet } = scene;
    await expect(fleet.finishEnrollment(await finish(scene))).rejects.toMatchObject({ code });
    expect(fleet.replicas.some((replica) => replica.holds((scene.kept.body as Body).g))).toBe(false);
  });

  test('can finish what it began itself, and the client’s masks are not under that', async () => {
    const scene = await keepBack();
    const { fleet, kept } = scene;
    const key = ownKey(scene);
    const tickets = await beginAgain(scene, key);
    await fleet.finishEnrollment(signed(scene, { policy: LAX, proofKey: key }, tickets));
    const evaluations = (list: readonly Ticket[]) => list.map(({ evaluated }) => toHex(evaluated));
    const [theirs, own] = [evaluations(kept.tickets), evaluations(tickets)];
    expect(theirs.filter((evaluated) => own.includes(evaluated))).toEqual([]);
  });
});

test('an enrolment that is begun again with the same g, P and A has other seeds', async () => {
  const scene = await keepBack();
  const [before, after] = [scene.kept.tickets, await beginAgain(scene)];
  for (const field of ['evaluated', 'releaseElement', 'nonce', 'tag'] as const) {
    const values = [...before, ...after].map((ticket) => toHex(ticket[field]));
    expect(new Set(values).size).toBe(values.length);
  }
});
