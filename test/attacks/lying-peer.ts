import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { publicKeyOf, randomScalar } from '../../client/curve.ts';
import type { Handlers } from '../../grpc/bridge.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ReplicaService } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { FleetPlaces } from '../integration/support/counted-fleet.ts';
import { impersonate } from './impostor.ts';

export type Answers = Handlers<typeof ReplicaService, undefined>;

/** Whoever has a replica's certificate, and neither its token nor its guard. It is quicker than anybody who writes to a disk. */
export interface Lie {
  readonly name: string;
  readonly answers: (index: number) => Answers;
}

const x = () => publicKeyOf(randomScalar().expose()).slice(1);
const signature = () => randomBytes(64);
const ticketFor = (index: number) => ({
  ...{ index, evaluated: x(), releaseElement: x(), nonce: randomBytes(16) },
  ...{ expiresAtMs: BigInt(Date.now()) + 600_000n, changes: 0n, tag: randomBytes(32) },
});

/** That anybody could have enrolled. */
const bodyFor = (rid: Uint8Array) => {
  const g = randomBytes(16);
  return create(BodySchema, {
    ...{ version: 1, fleet: 'harness', epoch: 1n, rid, g, threshold: 2, policy: { limit: 5, coolDownMs: 0n } },
    shares: [1, 2, 3].map((index) => ({ index, x: index, mask: randomBytes(32), releaseMask: randomBytes(32) })),
    ...{ ownerKey: randomBytes(32), payload: randomBytes(60), number: 1n, line: g },
    ...{ proofKey: publicKeyOf(randomScalar().expose()), releaseBase: publicKeyOf(randomScalar().expose()) },
  });
};

const inventing = (index: number): Answers => ({
  offer: async () => ({ offer: { ticket: ticketFor(index), signature: signature() } }),
  prepare: async () => ({ prepared: { index, signature: signature() } }),
  promote: async () => ({ enrolled: { index, signature: signature() } }),
  vote: async () => ({ vote: { index, signature: signature() } }),
  evaluate: async () => ({ evaluation: { index, evaluated: x(), enrolledAtMs: 1n, signature: signature() } }),
  release: async () => ({ release: { index, released: x(), signature: signature() } }),
  spent: async () => ({ spent: { index, signature: signature() } }),
  forget: async () => ({ erased: { index, signature: signature() } }),
  recall: async () => ({}),
  keepList: async () => ({ listed: { index, signature: signature() } }),
  decide: async () => ({ decided: { index, meeting: 1, signature: signature() } }),
  holds: async () => ({ held: [] }),
  show: async ({ rid }) => ({ shown: { body: bodyFor(rid), prepared: [1, 2, 3].map((by) => ({ index: by, signature: signature() })) } }),
  keep: async () => ({}),
  giveBack: async () => ({ shares: [] }),
});

const nothing = async () => ({});

export const silence: Answers = {
  ...{ offer: nothing, prepare: nothing, promote: nothing, vote: nothing, spent: nothing },
  ...{ evaluate: nothing, release: nothing, forget: nothing, recall: nothing, show: nothing, keep: nothing, giveBack: nothing },
  ...{ decide: nothing, holds: nothing, keepList: nothing },
};

export const lies: readonly Lie[] = [
  { name: 'invents what it signs', answers: inventing },
  { name: 'speaks for another one', answers: () => inventing(1) },
  { name: 'says nothing', answers: () => silence },
];

export interface Liar {
  /** How often it was asked for anything. */
  readonly asked: () => number;
  readonly end: () => void;
}

/** Listens where replica `index` did. */
export async function lieAs({ replicas }: FleetPlaces, index: number, lie: Lie): Promise<Liar> {
  const place = replicas[index - 1] as FleetPlaces['replicas'][number];
  const answers = lie.answers(index);
  let asked = 0;
  const counted = ReplicaService.methods.map(({ localName }) => [
    localName,
    (request: never) => {
      asked++;
      return answers[localName as keyof Answers](request, undefined);
    },
  ]);
  const end = await impersonate({ address: place.peer, tls: place.tls }, ReplicaService, Object.fromEntries(counted) as Answers);
  return { asked: () => asked, end };
}
