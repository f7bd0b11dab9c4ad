import { Client as Channel, type ChannelOptions, connectivityState, credentials } from '@grpc/grpc-js';
import { type Client, promiseClient } from '../grpc/bridge.ts';
import { callError } from '../grpc/call-error.ts';
import type { Millis } from '../primitives/brand.ts';
import { type ErrorCode, VaultError } from '../primitives/errors.ts';
import { VaultService } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { MAX_MESSAGE_LENGTH, MAX_REPLY_LENGTH } from '../protocol/message.ts';

export type VaultCalls = Client<typeof VaultService>;

export interface VaultConnectionOptions {
  /** host:port of replicas, in the order of preference: the nearest first. */
  readonly addresses: readonly string[];
  /** PEM: the tenant's certificate and key, and who issues the replicas' certificates. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
  /** For connecting to one replica. */
  readonly connectTimeout?: Millis;
  /** For one call to one replica. */
  readonly callTimeout?: Millis;
  /** After which the next replica is asked as well, while the one before may still answer. */
  readonly patience?: Millis;
}

const channelOptions: ChannelOptions = {
  'grpc.max_send_message_length': MAX_MESSAGE_LENGTH,
  'grpc.max_receive_message_length': MAX_REPLY_LENGTH,
  'grpc.enable_retries': 0, // one place retries: below
  'grpc.keepalive_time_ms': 20_000, // a stalled replica is noticed although its connection stands
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_reconnect_backoff_ms': 5_000,
};

/** What another replica may do better. Every call is idempotent, so asking it is safe even where the outcome is unknown. */
const worthAnother: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'OUTCOME_UNKNOWN',
  'NOT_ENOUGH_REPLICAS',
  'STORE_UNAVAILABLE',
  'RECORD_OUTDATED',
  'GRANT_EXPIRED', // by that replica's clock, which may be wrong
  'STATEMENT_MISMATCH', // replicas take up a new statement one by one
  'ATTEMPT_CONFLICT', // nothing shows it
  'TOKEN_UNAVAILABLE',
  'TOKEN_FAULT',
  'GUARD_FAILING',
  'BUSY',
]);

/** A generation that was never stored is begun again on this; so it must not hide that another replica may have stored it. */
const staleTicket: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['TICKET_REFUSED', 'TICKET_EXPIRED']);

/** A deadline. By no injected clock: grpc-js counts down to it by the system's. */
const after = (timeout: Millis): number => Date.now() + timeout;

type Send<T> = (calls: VaultCalls, options: { readonly deadline: number }) => Promise<T>;

/** Without value and error: it cannot be reached. */
type Answer<T> = { readonly value: T } | { readonly replica: ReplicaChannel; readonly error?: VaultError };

interface ReplicaChannel {
  readonly address: string;
  readonly channel: Channel;
  readonly calls: VaultCalls;
}

/** Mutually authenticated channels to several replicas. Any of them serves any call; the next is asked when one does not. */
export class VaultConnection {
  readonly #replicas: ReplicaChannel[];
  readonly #timeouts: { readonly connect: Millis; readonly call: Millis; readonly patience: Millis };

  constructor({ addresses, tls, connectTimeout = 2_000, callTimeout = 10_000, patience = 1_500 }: VaultConnectionOptions) {
    if (addresses.length === 0) throw new VaultError('CONFIG_INVALID', 'A connection needs the address of at least one replica.');
    const secure = credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert));
    this.#replicas = addresses.map((address) => {
      const channel = new Channel(address, secure, channelOptions);
      return { address, channel, calls: promiseClient(VaultService, channel) };
    });
    this.#timeouts = { connect: connectTimeout, call: callTimeout, patience };
  }

  /**
   * Sends one call: to one replica, and to the next when it fails or takes long, until one answers. With each `turn` another replica is
   * the first; then the order of preference stays as it is, so that in as many turns as there are replicas each is the first once, but for
   * those that cannot be connected to. Throws
   * what a replica said, OUTCOME_UNKNOWN if one may have acted and none said what happened, NOT_ENOUGH_REPLICAS if none could be reached.
   */
  async call<T>(send: Send<T>, turn = 0): Promise<T> {
    const first = turn % this.#replicas.length;
    const inTurn = [...this.#replicas.slice(first), ...this.#replicas.slice(0, first)];
    const others = [...inTurn.filter((replica) => !isAway(replica)), ...inTurn.filter(isAway)];
    const demote = (replica: ReplicaChannel) => turn === 0 && this.#demote(replica);
    const asked = new Map<ReplicaChannel, Promise<Answer<T>>>();
    const failures: VaultError[] = [];
    for (;;) {
      const replica = others.shift();
      if (replica) asked.set(replica, this.#ask(replica, send, demote));
      if (asked.size === 0) throw mostTelling(failures);
      const answer = await firstOf(asked.values(), others.length > 0 ? this.#timeouts.patience : undefined);
      if (answer === undefined) {
        if (replica) demote(replica);
        continue;
      }
      if ('value' in answer) return answer.value;
      asked.delete(answer.replica);
      if (!answer.error) continue;
      // A ticket that one replica refuses may have done its work at another: only where no other was asked is that the whole answer.
      const { code } = answer.error;
      const isWhole = !staleTicket.has(code) || (asked.size === 0 && failures.every((failure) => staleTicket.has(failure.code)));
      if (!worthAnother.has(code) && isWhole) throw answer.error;
      failures.push(answer.error);
    }
  }

  close(): void {
    for (const { channel } of this.#replicas) channel.close();
  }

  /** Never rejects. */
  async #ask<T>(replica: ReplicaChannel, send: Send<T>, demote: (replica: ReplicaChannel) => void): Promise<Answer<T>> {
    if (!(await this.#isReachable(replica))) {
      demote(replica);
      return { replica };
    }
    try {
      return { value: await send(replica.calls, { deadline: after(this.#timeouts.call) }) };
    } catch (cause) {
      const error = callError(cause);
      if (error.code === 'OUTCOME_UNKNOWN') demote(replica);
      return { replica, error };
    }
  }

  /** Without a connection nothing was sent: that is the one failure whose outcome is known. */
  #isReachable({ channel }: ReplicaChannel): Promise<boolean> {
    return new Promise((resolve) => {
      channel.waitForReady(after(this.#timeouts.connect), (error) => resolve(error === undefined));
    });
  }

  /** A replica that did not answer is asked last from now on. */
  #demote(replica: ReplicaChannel): void {
    const i = this.#replicas.indexOf(replica);
    this.#replicas.push(...this.#replicas.splice(i, 1));
  }
}

/** The last try to connect failed. The channel goes on trying by itself. */
const isAway = ({ channel }: ReplicaChannel): boolean =>
  channel.getChannel().getConnectivityState(false) === connectivityState.TRANSIENT_FAILURE;

/** Undefined where none came in time. */
async function firstOf<T>(answers: Iterable<Promise<T>>, patience: Millis | undefined): Promise<T | undefined> {
  if (patience === undefined) return Promise.race(answers);
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patience, undefined);
  });
  try {
    return await Promise.race([...answers, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** What may have happened comes before what did not. */
const mostTelling = (failures: readonly VaultError[]): VaultError =>
  failures.findLast(({ code }) => code === 'OUTCOME_UNKNOWN') ??
  failures.findLast(({ code }) => code === 'STATEMENT_MISMATCH') ??
  failures.findLast(({ code }) => !staleTicket.has(code)) ??
  failures.at(-1) ??
  new VaultError('NOT_ENOUGH_REPLICAS', 'No replica of the vault can be reached.');
