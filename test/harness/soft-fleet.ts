import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { ed25519 } from '@noble/curves/ed25519.js';
import type { VaultTransport } from '../../client/transport.ts';
import type { PinnedPolicy } from '../../client/trust-policy.ts';
import { decide, endOf, letGo, prove, stateOf } from '../../daemon/ledger/hold.ts';
import { encodePublished, type FittingBundle, parsePublished } from '../../fleet/verify/published-bundle.ts';
import { constantTimeEqual, fromHex, toHex } from '../../primitives/bytes.ts';
import { type ErrorCode, isVaultError, VaultError } from '../../primitives/errors.ts';
import { type Hold, type PublishedBundle, RecordState, type Ticket } from '../../proto/gen/backupvault/v1/record_pb.ts';
import * as pb from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, type HashedBody, parseBody } from '../../protocol/body.ts';
import { parseTicket } from '../../protocol/offer.ts';
import { isSameList, listDigest, type OwnerList, parseOwnerList, renderOwnerList } from '../../protocol/owner-list.ts';
import { ridFor } from '../../protocol/record-id.ts';
import { encodeStatement, parseStatement, STATEMENT_TYPE, type Statement, type StatementDocument } from '../../protocol/statement.ts';
import { earlierAfter, termsOf } from '../../protocol/terms.ts';
import { approveTranscript, pointTranscript, replaceTranscript, vetoTranscript } from '../../protocol/transcripts.ts';
import { SoftReplica } from './soft-replica.ts';

// The vault's side of the protocol, with keys in this process, for tests of the SDK: it has no counter of its own worth the name,
// no store and no token. What it can do is lie, fall silent and lose replies.

interface SoftRecord extends HashedBody {
  readonly points: string[];
  /** By the hash of the point; the same at every replica. */
  readonly holds: Map<string, Hold>;
  list: OwnerList | undefined;
  erased: boolean;
}

type Method = keyof VaultTransport;
type Reply<M extends Method> = Awaited<ReturnType<VaultTransport[M]>>;

export interface SoftFleetOptions {
  readonly replicas?: number;
  readonly threshold?: number;
  readonly epoch?: number;
  /** Of each replica, in order; one for all unless told. */
  readonly operators?: readonly string[];
}

export class SoftFleet implements VaultTransport {
  static readonly tenant = 'acme';
  readonly name = 'test-fleet';
  readonly replicas: SoftReplica[];
  statement: Statement;
  /** What an operator published, if anything. */
  published: PublishedBundle | undefined;
  readonly policy: PinnedPolicy;
  /** By the clock of every replica, in ms. */
  now = 1_800_000_000_000;
  /** Indices of replicas that do not answer. */
  readonly silent = new Set<number>();
  /** Changes a reply on its way: a hostile coordinator, or a hostile replica that signs again. */
  readonly tamper: { [M in Method]?: (reply: Reply<M>, request: Parameters<VaultTransport[M]>[0]) => void } = {};
  readonly #received = new Map<Method, Uint8Array[]>();
  readonly #records = new Map<string, SoftRecord>();
  readonly #failures = new Map<Method, ErrorCode[]>();
  readonly #losses = new Map<Method, number>();

  constructor({ replicas = 3, threshold = Math.floor(replicas / 2) + 1, epoch = 1, operators = [] }: SoftFleetOptions = {}) {
    this.replicas = Array.from({ length: replicas }, (_, i) => new SoftReplica(i + 1, operators[i] ?? this.name));
    this.statement = parseStatement(encodeStatement(this.#document(threshold, epoch)));
    this.policy = { kind: 'pinned', statementHashes: [this.statement.hash] };
  }

  /** A statement of the next epoch: of the same replicas, or of those with these indices, new ones among them. */
  restate(indices = this.statement.replicas.map(({ index }) => index), threshold = Math.floor(indices.length / 2) + 1): void {
    const { document, epoch, hash } = this.statement;
    for (const index of indices)
      if (!this.replicas.some((replica) => replica.index === index)) this.replicas.push(new SoftReplica(index, this.name));
    const replicas = indices.map((index) => this.replica(index).entry());
    const next = { ...document, epoch: epoch + 1, previous: toHex(hash), threshold, replicas, earlier: earlierAfter(document, []) };
    this.statement = parseStatement(encodeStatement(next));
  }

  /** Every replica has another ticket secret, and all that it stored. */
  restart(): void {
    for (const replica of this.replicas) replica.restart();
  }

  replica(index: number): SoftReplica {
    return this.replicas.find((replica) => replica.index === index) as SoftReplica;
  }

  /** The next replies of a method are lost after the request was served. */
  lose(method: Method, times = 1): void {
    this.#losses.set(method, times);
  }

  /** The next calls of a method fail before anything happens. */
  fail(method: Method, ...codes: ErrorCode[]): void {
    this.#failures.set(method, codes);
  }

  /** Requests of one method, as they arrived. */
  received(method: Method): readonly Uint8Array[] {
    return this.#received.get(method) ?? [];
  }

  lastReceived<D extends DescMessage>(method: Method, schema: D): MessageShape<D> {
    return fromBinary(schema, this.received(method).at(-1) ?? new Uint8Array(0));
  }

  attemptsOf(recordId: string): number {
    return this.#records.get(this.#rid(recordId))?.points.length ?? 0;
  }

  bodyOf(recordId: string): HashedBody {
    return this.#records.get(this.#rid(recordId)) as HashedBody;
  }

  getFleet(request: pb.GetFleetRequest) {
    return this.#serve('getFleet', pb.GetFleetRequestSchema, request, () => {
      const bundle = this.#bundle();
      const consistency = [...(bundle?.consistencyFrom(Number(request.treeSize)) ?? [])];
      return create(pb.GetFleetResponseSchema, { statement: this.statement.bytes, ...handedOut(bundle), consistency });
    });
  }

  describeRecord(request: pb.DescribeRecordRequest) {
    return this.#serve('describeRecord', pb.DescribeRecordRequestSchema, request, () => {
      const record = this.#records.get(this.#rid(request.recordId));
      if (!record) throw new VaultError('RECORD_UNKNOWN', 'no such record');
      const { body, points, erased } = record;
      const used = points.length >= body.policy.limit ? RecordState.EXHAUSTED : RecordState.LIVE;
      const isKnown = request.knownEpoch === BigInt(this.statement.epoch);
      const bundle = isKnown ? undefined : this.#bundle();
      return create(pb.DescribeRecordResponseSchema, {
        state: erased ? RecordState.ERASED : used,
        g: body.g,
        number: body.number,
        line: body.line,
        attemptsUsed: points.length,
        attemptsLimit: body.policy.limit,
        holders: erased ? [] : this.#holdersOf(record).map(({ index }) => index),
        statement: isKnown ? new Uint8Array(0) : this.statement.bytes,
        ownerKey: erased ? new Uint8Array(0) : body.ownerKey,
        epoch: erased ? 0n : body.epoch,
        held: erased ? [] : this.#heldOf(record),
        lists: request.withLists && !erased ? this.#listedOf(record) : [],
        ...handedOut(bundle),
      });
    });
  }

  beginEnrollment(request: pb.BeginEnrollmentRequest) {
    return this.#serve('beginEnrollment', pb.BeginEnrollmentRequestSchema, request, () => {
      const rid = ridFor(this.name, SoftFleet.tenant, request.recordId);
      const offers = this.#live().map((replica) => replica.offer(this.statement, { ...request, rid }));
      return create(pb.BeginEnrollmentResponseSchema, { offers });
    });
  }

  finishEnrollment(request: pb.FinishEnrollmentRequest) {
    return this.#serve('finishEnrollment', pb.FinishEnrollmentRequestSchema, request, () => {
      const hashed = parseBody(request.body);
      const key = this.#rid(request.recordId);
      const before = this.#records.get(key);
      const repeated = before !== undefined && constantTimeEqual(before.bodyHash, hashed.bodyHash);
      if (!repeated) this.#expectReplaces(before, hashed, request.ownerSignature);
      this.#expectFits(hashed, request.tickets);
      const asked = hashed.body.shares.map(({ index }) => this.replica(index)).filter(({ index }) => !this.silent.has(index));
      const refusals = asked.flatMap((replica) => refusalOf(() => replica.prepare(this.statement, hashed, request)) ?? []);
      const prepared = asked.filter((replica) => replica.holds(hashed.body.g));
      if (refusals[0] && prepared.length < this.statement.threshold) throw refusals[0];
      const enrolled = prepared.map((replica) => replica.enrolled(this.statement, hashed));
      if (!repeated) this.#records.set(key, { ...hashed, points: [], holds: new Map(), list: this.#listFor(hashed.body), erased: false });
      return create(pb.FinishEnrollmentResponseSchema, { enrolled });
    });
  }

  beginRecovery(request: pb.BeginRecoveryRequest) {
    return this.#serve('beginRecovery', pb.BeginRecoveryRequestSchema, request, () => {
      const record = this.#recordFor(request.recordId, request.g);
      const h = toHex(pointTranscript(request.point).digest);
      if (!record.points.includes(h)) {
        if (record.points.length >= record.body.policy.limit) throw new VaultError('EXHAUSTED', 'no attempt is left');
        record.points.push(h);
      }
      const attempt = record.points.indexOf(h) + 1;
      const holders = this.#holdersOf(record);
      const answering = holders.filter(({ index }) => !this.silent.has(index));
      if (answering.length < termsOf(this.statement, record.body.epoch).threshold)
        throw new VaultError('NOT_ENOUGH_REPLICAS', 'too few replicas');
      return create(pb.BeginRecoveryResponseSchema, {
        body: record.body,
        attempt,
        evaluations: answering.map((replica) =>
          replica.evaluate(this.statement, record, { attempt, used: record.points.length }, request.point),
        ),
        silent: holders.filter(({ index }) => this.silent.has(index)).map(({ index }) => index),
      });
    });
  }

  finishRecovery(request: pb.FinishRecoveryRequest) {
    return this.#serve('finishRecovery', pb.FinishRecoveryRequestSchema, request, () => {
      const record = this.#recordFor(request.recordId, request.g);
      const h = toHex(pointTranscript(request.point).digest);
      if (record.points.indexOf(h) + 1 !== request.attempt) throw new VaultError('ATTEMPT_UNKNOWN', 'not that attempt');
      const answering = this.#holdersOf(record).filter(({ index }) => !this.silent.has(index));
      const releases = answering.map((replica) => replica.release(this.statement, record, request));
      const until = this.#heldUntil(record, h, request);
      if (until === 0) return create(pb.FinishRecoveryResponseSchema, { releases });
      const held = answering.map((replica) => replica.heldUntil(this.statement, record, request, until));
      return create(pb.FinishRecoveryResponseSchema, { held });
    });
  }

  #heldOf(record: SoftRecord): pb.HeldAttempt[] {
    const length = Number(record.body.policy.holdMs);
    return this.#holdersOf(record).flatMap(({ index }) =>
      [...record.holds].map(([name, hold]) =>
        create(pb.HeldAttemptSchema, {
          ...{ index, attempt: hold.attempt, pointHash: fromHex(name, 'h'), state: stateOf(hold) },
          untilMs: BigInt(endOf(hold, length)),
          blindedBase: hold.blindedBase,
        }),
      ),
    );
  }

  #heldUntil({ body, holds }: SoftRecord, h: string, { attempt, blindedBase }: pb.FinishRecoveryRequest): number {
    if (body.policy.holdMs === 0n) return 0;
    const { next, until } = prove(holds.get(h), { attempt, blindedBase }, Number(body.policy.holdMs), this.now);
    if (next) holds.set(h, next);
    const hold = holds.get(h);
    if (until === 0 && hold) holds.set(h, letGo(hold) ?? hold);
    return until ?? 0;
  }

  #listFor({ rid, ownerKey }: Body): OwnerList | undefined {
    const before = this.#records.get(toHex(rid));
    return before && !before.erased && constantTimeEqual(before.body.ownerKey, ownerKey) ? before.list : undefined;
  }

  #listedOf(record: SoftRecord, shown = true): pb.Listed[] {
    const { body, list } = record;
    const message = list && shown ? { list: renderOwnerList(list) } : {};
    return this.#holdersOf(record).map((replica) => create(pb.ListedSchema, { ...replica.listed(this.statement, body, list), ...message }));
  }

  putList(request: pb.PutListRequest) {
    return this.#serve('putList', pb.PutListRequestSchema, request, () => {
      const record = this.#recordFor(request.recordId, request.g);
      const list = parseOwnerList(request.list);
      const { rid, ownerKey } = record.body;
      const { digest } = listDigest(this.name, rid, list);
      if (!ed25519.verify(list.signature, digest, ownerKey)) throw new VaultError('OWNER_REFUSED', 'not the owner');
      const isSame = record.list !== undefined && isSameList(record.list, list);
      if (!isSame && record.list && record.list.counter >= list.counter) throw new VaultError('LIST_OUTDATED', 'there is a newer one');
      record.list = list;
      return create(pb.PutListResponseSchema, { lists: this.#listedOf(record, false) });
    });
  }

  decideHold(request: pb.DecideHoldRequest) {
    return this.#serve('decideHold', pb.DecideHoldRequestSchema, request, () => {
      const record = this.#recordFor(request.recordId, request.g);
      const { rid, g, ownerKey } = record.body;
      const { attempt, pointHash, veto: isVeto, signature, blindedBase } = request;
      const held = { fleet: this.name, rid, g, attempt, pointHash };
      const { digest } = isVeto ? vetoTranscript(held) : approveTranscript(held, blindedBase);
      if (!ed25519.verify(signature, digest, ownerKey)) throw new VaultError('OWNER_REFUSED', 'not the owner');
      const name = toHex(pointHash);
      if (record.holds.get(name)?.released)
        return create(pb.DecideHoldResponseSchema, { released: this.#holdersOf(record).map(({ index }) => index) });
      const next = decide(record.holds.get(name), { attempt, isVeto, signature, blindedBase });
      if (next) record.holds.set(name, next);
      const decided = this.#holdersOf(record).map((replica) => replica.decided(this.statement, record.body, request));
      return create(pb.DecideHoldResponseSchema, { decided });
    });
  }

  eraseRecord(request: pb.EraseRecordRequest) {
    return this.#serve('eraseRecord', pb.EraseRecordRequestSchema, request, () => {
      const record = this.#recordFor(request.recordId, request.g);
      record.erased = true;
      const { rid, g } = record.body;
      return create(pb.EraseRecordResponseSchema, {
        erased: this.#holdersOf(record).map((replica) => replica.erased(this.statement, rid, g)),
      });
    });
  }

  async #serve<M extends Method, D extends DescMessage>(
    method: M,
    schema: D,
    request: MessageShape<D>,
    answer: () => Reply<M> | Promise<Reply<M>>,
  ): Promise<Reply<M>> {
    this.#received.set(method, [...this.received(method), toBinary(schema, request)]);
    const failure = this.#failures.get(method)?.shift();
    if (failure) throw new VaultError(failure, 'told to fail');
    const { epoch = 0n, leastEpoch = 0n } = request as { epoch?: bigint; leastEpoch?: bigint };
    const own = BigInt(this.statement.epoch);
    if ((epoch !== 0n && epoch !== own) || leastEpoch > own) throw new VaultError('STATEMENT_MISMATCH', 'another epoch');
    const reply = overTheWire(method, await answer());
    this.tamper[method]?.(reply, request as unknown as Parameters<VaultTransport[M]>[0]);
    const losses = this.#losses.get(method) ?? 0;
    this.#losses.set(method, losses - 1);
    if (losses > 0) throw new Error('connection reset');
    return reply;
  }

  #bundle() {
    if (!this.published) return undefined;
    return parsePublished(encodePublished(this.published), this.statement.bytes);
  }

  /** One ticket for each share, and a replica for both. */
  #expectFits({ body }: HashedBody, tickets: readonly Ticket[]): void {
    const indices = tickets.map((ticket) => parseTicket(ticket).index);
    if (indices.length !== body.shares.length || body.shares.some(({ index }, i) => index !== indices[i]))
      throw new VaultError('MALFORMED', 'not one ticket for each share');
    if (indices.some((index) => !this.#serves(index))) throw new VaultError('POLICY_REFUSED', 'no such replica');
  }

  #expectReplaces(before: SoftRecord | undefined, { body, bodyHash }: HashedBody, signature: Uint8Array): void {
    if (!constantTimeEqual(before?.body.g ?? new Uint8Array(0), body.previous)) throw new VaultError('GENERATION_CONFLICT', 'not previous');
    if (!before || before.erased) return;
    const { fleet, epoch, rid, g } = body;
    const { digest } = replaceTranscript({ fleet, epoch, rid, g }, body.previous, bodyHash);
    if (signature.length !== 64 || !ed25519.verify(signature, digest, before.body.ownerKey))
      throw new VaultError('OWNER_REFUSED', 'not the owner');
  }

  #recordFor(recordId: string, g: Uint8Array): SoftRecord {
    const record = this.#records.get(this.#rid(recordId));
    if (!record) throw new VaultError('RECORD_UNKNOWN', 'no such record');
    if (!constantTimeEqual(record.body.g, g)) throw new VaultError('GENERATION_UNKNOWN', 'another generation');
    if (record.erased) throw new VaultError('ERASED', 'erased');
    return record;
  }

  #holdersOf = ({ body }: HashedBody) =>
    body.shares.map(({ index }) => this.replica(index)).filter((replica) => replica.holds(body.g) && this.#serves(replica.index));
  #live = () => this.replicas.filter(({ index }) => this.#serves(index) && !this.silent.has(index));
  #serves = (index: number) => this.statement.replicas.some((replica) => replica.index === index);
  #rid = (recordId: string) => toHex(ridFor(this.name, SoftFleet.tenant, recordId));

  #document(threshold: number, epoch: number): StatementDocument {
    return {
      type: STATEMENT_TYPE,
      fleet: this.name,
      epoch,
      previous: null,
      threshold,
      replicas: this.replicas.map((replica) => replica.entry()),
      earlier: [],
      store_incarnation: 1,
      not_before: '2025-01-01T00:00:00Z',
      not_after: '2035-01-01T00:00:00Z',
      software: { version: '0.0.0', digest: '' },
      evidence: null,
    };
  }
}

const handedOut = (fitting: FittingBundle | undefined) => (fitting ? { bundle: { smime: fitting.smime, logProof: fitting.logProof } } : {});

/** As gRPC hands it over: a message of its own, whose bytes are Buffers. */
function overTheWire<M extends Method>(method: M, reply: Reply<M>): Reply<M> {
  const { output } = pb.VaultService.method[method];
  return fromBinary(output, Buffer.from(toBinary(output, reply))) as Reply<M>;
}

function refusalOf(act: () => void): VaultError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (isVaultError(error)) return error;
    throw error;
  }
}
