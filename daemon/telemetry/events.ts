import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Millis } from '../../primitives/brand.ts';
import { toHex } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { allStoreFaults, type StoreFault } from '../../protocol/store-fault.ts';
import { allTokenFaults, type TokenFault } from '../../protocol/token-fault.ts';
import type { Log } from './log.ts';

/** One function for each thing worth telling: its log line and its metric together, and nothing in either that is not named here. */
export class Events {
  readonly registry = new Registry();
  readonly #log: Log;
  readonly #requests = this.#counter('bkv_requests_total', 'Calls answered, by method and error code.', 'method', 'code');
  readonly #duration = new Histogram({
    name: 'bkv_request_duration_seconds',
    help: 'Time from a call’s arrival to its answer.',
    labelNames: ['method'],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 3],
    registers: [this.registry],
  });
  readonly #records = this.#counter('bkv_records_total', 'What this replica coordinated.', 'event');
  readonly #tokenEvents = this.#counter(
    'bkv_token_events_total',
    'Times that the token was lost and was back, that its module was recycled, that a worker died.',
    'event',
  );
  readonly #untrusted = this.#counter('bkv_untrusted_answers_total', 'Answers of a replica that were not believed.', 'replica');
  readonly #storeBytes = this.#gauge('bkv_store_bytes', 'Size of etcd’s file, and its quota.', 'kind');
  readonly #storeMembers = this.#gauge('bkv_store_members', 'Members of etcd in the configuration, and those of them that answer.', 'kind');
  readonly #storeFault = this.#gauge('bkv_store_fault', '1 while etcd takes no attempts for this cause.', 'cause');
  readonly #tokenFault = this.#gauge('bkv_token_fault', '1 while the token does not serve for this cause.', 'cause');
  readonly #guardFault = this.#gauge('bkv_guard_fault', '1 while the guard cannot be read.');
  #wasOutOfSpace = false;
  readonly #bundle = this.#gauge('bkv_bundle', '1 while this replica has a bundle to hand out.');
  #membersAnswering: number | undefined;
  readonly #undealt = this.#gauge('bkv_seeds_undealt', 'Records whose seed here is not yet shared with all other guards.');
  readonly #serving = this.#gauge('bkv_serving', '1 while this replica serves.');

  constructor(log: Log) {
    this.#log = log;
    this.storeFault(undefined);
    this.tokenFault(undefined);
    collectDefaultMetrics({ register: this.registry });
  }

  started(version: string, details: object): void {
    this.#log.info('started', { version, ...details });
  }

  /** Told again and again while it lasts. */
  startsSlowly(step: string): void {
    this.#log.warn('starting takes long', { step });
  }

  serving(serving: boolean, why: string): void {
    this.#serving.set(serving ? 1 : 0);
    if (serving) this.#log.info('serving', { why });
    else this.#log.warn('not serving', { why });
  }

  /** What the token layer did to keep going. */
  token(event: string, reason: string, fault?: TokenFault): void {
    this.#tokenEvents.inc({ event });
    this.#log.warn('token', { event, reason, ...(fault && { fault }) });
  }

  /** The replica's log line about it is that it does not serve. */
  tokenFault(fault: TokenFault | undefined): void {
    for (const cause of allTokenFaults) this.#tokenFault.set({ cause }, cause === fault ? 1 : 0);
  }

  /** As above. */
  guardFault(fails: boolean): void {
    this.#guardFault.set(fails ? 1 : 0);
  }

  answered(method: string, duration: Millis, error?: unknown): void {
    const code = error === undefined ? 'OK' : isVaultError(error) ? error.code : 'INTERNAL';
    this.#requests.inc({ method, code });
    this.#duration.observe({ method }, duration / 1000);
    if (code === 'INTERNAL' || code === 'STORE_CORRUPT' || code === 'ATTEMPT_CONFLICT' || code === 'TOKEN_FAULT')
      this.#log.error('call failed', { method, code, error: messageOf(error) });
    else this.#log.debug('call', { method, code });
  }

  enrolled(rid: Uint8Array, confirmed: number, holders: number): void {
    this.#records.inc({ event: 'enrolled' });
    this.#log.info('enrolled', { rid: short(rid), confirmed, holders });
  }

  attempted(rid: Uint8Array, attempt: number, limit: number, answers: number): void {
    this.#records.inc({ event: 'attempted' });
    this.#log.info('attempt evaluated', { rid: short(rid), attempt, limit, answers });
  }

  /** The moment the vault knows that the code was right. */
  recovered(rid: Uint8Array, attempt: number): void {
    this.#records.inc({ event: 'recovered' });
    this.#log.info('recovered', { rid: short(rid), attempt });
  }

  /** The code was right, and the owner may still veto. */
  held(rid: Uint8Array, attempt: number, by: number): void {
    this.#records.inc({ event: 'held' });
    this.#log.info('held', { rid: short(rid), attempt, by });
  }

  /** By its owner. */
  decided(rid: Uint8Array, attempt: number, isVeto: boolean, by: number): void {
    const event = isVeto ? 'vetoed' : 'approved';
    this.#records.inc({ event });
    this.#log.info(event, { rid: short(rid), attempt, by });
  }

  erased(rid: Uint8Array, why: 'asked' | 'exhausted'): void {
    this.#records.inc({ event: 'erased' });
    this.#log.info('erased', { rid: short(rid), why });
  }

  /** As of the last sweep. */
  undealt(records: number): void {
    this.#undealt.set(records);
  }

  /** A replica signed another thing than it was asked, or sent what cannot be: its operator must look at it. */
  untrusted(replica: number, why: string): void {
    this.#untrusted.inc({ replica });
    this.#log.error('a replica is not believed', { replica, why });
  }

  /** etcd's entry was from before a restore, and is now what the guards remember. */
  reconciled(rid: Uint8Array, guards: number): void {
    this.#records.inc({ event: 'reconciled' });
    this.#log.warn('reconciled', { rid: short(rid), guards });
  }

  /** etcd had other points as attempts than the guards have, behind the vault's back. */
  reordered(rid: Uint8Array, guards: number): void {
    this.#records.inc({ event: 'reordered' });
    this.#log.warn('etcd had another order of attempts', { rid: short(rid), guards });
  }

  storeUsed(bytes: number, quota: number, isOutOfSpace: boolean): void {
    this.#storeBytes.set({ kind: 'used' }, bytes);
    this.#storeBytes.set({ kind: 'quota' }, quota);
    if (isOutOfSpace && !this.#wasOutOfSpace)
      this.#log.error('etcd is out of space: compact, defragment, disarm its alarm', { bytes, quota });
    this.#wasOutOfSpace = isOutOfSpace;
  }

  /** Clients are handed this bundle from now on. */
  bundleTaken(treeSize: number): void {
    this.#bundle.set(1);
    this.#log.info('bundle taken', { treeSize });
  }

  /** Clients are handed the bare statement, which those that trust a witness refuse. */
  bundleRefused(why: string): void {
    this.#bundle.set(0);
    this.#log.error('no bundle to hand out', { why });
  }

  storeMembers(answering: number, all: number): void {
    this.#storeMembers.set({ kind: 'answering' }, answering);
    this.#storeMembers.set({ kind: 'all' }, all);
    if (answering === this.#membersAnswering) return;
    if (answering < all) this.#log.warn('members of etcd do not answer', { answering, all });
    else if (this.#membersAnswering !== undefined) this.#log.info('all members of etcd answer again', { all });
    this.#membersAnswering = answering;
  }

  /** The replica's log line about it is that it does not serve. */
  storeFault(fault: StoreFault | undefined): void {
    for (const cause of allStoreFaults) this.#storeFault.set({ cause }, cause === fault ? 1 : 0);
  }

  /** Once after each start: what this replica missed while it was away is made good. */
  settled(left: number): void {
    this.#log.info('settled', { left });
  }

  sweepFailed(error: unknown): void {
    this.#log.warn('sweep failed, will be made again', { error: messageOf(error) });
  }

  membershipFailed(error: unknown): void {
    this.#log.warn('membership not renewed', { error: messageOf(error) });
  }

  stopped(why: string): void {
    this.#log.info('stopped', { why });
  }

  #counter<Label extends string>(name: string, help: string, ...labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<Label extends string>(name: string, help: string, ...labelNames: Label[]): Gauge<Label> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }
}

/** Enough to tell records apart in a log; a rid is a hash of a pseudonym. */
const short = (rid: Uint8Array): string => toHex(rid).slice(0, 12);

/** The message and those of its causes; never the error object, whose fields a library chose. */
function messageOf(error: unknown): string {
  const messages: string[] = [];
  for (let e = error; e instanceof Error && messages.length < 4; e = e.cause) messages.push(e.message);
  return messages.join(' ← ');
}
