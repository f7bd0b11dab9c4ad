import type { DescMethodUnary, MessageShape } from '@bufbuild/protobuf';
import type { Handlers } from '../../grpc/bridge.ts';
import type { ReplicaService } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { decide, holds } from '../vault/decide.ts';
import { evaluate } from '../vault/evaluate.ts';
import { forget } from '../vault/forget.ts';
import { giveBack, keep } from '../vault/keep.ts';
import { keepList } from '../vault/list.ts';
import { offer } from '../vault/offer.ts';
import { prepare } from '../vault/prepare.ts';
import { promote } from '../vault/promote.ts';
import { recall } from '../vault/recall.ts';
import { type Elsewhere, release } from '../vault/release.ts';
import { show } from '../vault/show.ts';
import { spent } from '../vault/spent.ts';
import type { Vault } from '../vault/vault.ts';
import { vote } from '../vault/vote.ts';

type Methods = (typeof ReplicaService)['method'];
type Call<M> = M extends DescMethodUnary<infer I, infer O> ? (request: MessageShape<I>) => Promise<MessageShape<O>> : never;

/** What a coordinator may ask of a replica. The same for itself, by plain calls, as for its peers, by gRPC. */
export type ReplicaCalls = { readonly [K in keyof Methods]: Call<Methods[K]> };

export interface Participant {
  readonly index: number;
  readonly calls: ReplicaCalls;
}

export function localParticipant(vault: Vault, elsewhere: Elsewhere): Participant {
  const { index } = vault.self;
  const handlers = replicaService(vault, elsewhere);
  const calls = Object.entries(handlers).map(([name, handle]) => [name, (request: never) => handle(request, index)]);
  return { index, calls: Object.fromEntries(calls) };
}

/** What this replica does for others, each known by its certificate. Only for whom it keeps shares, and to whom it gives them, does that matter. */
export const replicaService = (vault: Vault, elsewhere: Elsewhere): Handlers<typeof ReplicaService, number> => ({
  offer: (request) => offer(vault, request),
  prepare: (request) => prepare(vault, request),
  promote: (request) => promote(vault, request),
  vote: (request) => vote(vault, request),
  evaluate: (request) => evaluate(vault, request),
  release: (request) => release(vault, request, elsewhere),
  spent: (request) => spent(vault, request),
  forget: (request) => forget(vault, request),
  recall: (request) => recall(vault, request),
  show: (request) => show(vault, request),
  keepList: (request) => keepList(vault, request),
  decide: (request) => decide(vault, request),
  holds: (request) => holds(vault, request),
  keep: (request, caller) => keep(vault, caller, request),
  giveBack: (request, caller) => giveBack(vault, caller, request),
});
