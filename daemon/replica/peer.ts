import { readFileSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import { promiseClient } from '../../grpc/bridge.ts';
import { callError } from '../../grpc/call-error.ts';
import type { Millis } from '../../primitives/brand.ts';
import { ReplicaService } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { MAX_PEER_MESSAGE_LENGTH } from '../../protocol/message.ts';
import { replicaHost } from '../../protocol/names.ts';
import type { Participant, ReplicaCalls } from './participant.ts';

const DEADLINE: Millis = 3000;

export interface PeerOptions {
  readonly fleet: string;
  readonly index: number;
  readonly address: string;
  /** PEM files. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
}

export interface Peer extends Participant {
  close(): void;
}

/** Another replica, over mTLS: its certificate must name exactly this replica of this fleet, whatever its address. */
export function connectPeer({ fleet, index, address, tls }: PeerOptions): Peer {
  const credentials = grpc.credentials.createSsl(readFileSync(tls.ca), readFileSync(tls.key), readFileSync(tls.cert));
  const channel = new grpc.Client(address, credentials, {
    'grpc.ssl_target_name_override': replicaHost(fleet, index),
    'grpc.max_receive_message_length': MAX_PEER_MESSAGE_LENGTH,
    'grpc.keepalive_time_ms': 5000,
    'grpc.keepalive_timeout_ms': 1500,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
  });
  const client = promiseClient(ReplicaService, channel);
  const calls = Object.fromEntries(
    ReplicaService.methods.map(({ localName }) => [
      localName,
      async (request: never) => {
        try {
          return await client[localName as keyof ReplicaCalls](request, { deadline: Date.now() + DEADLINE });
        } catch (error) {
          throw callError(error);
        }
      },
    ]),
  );
  return { index, calls: calls as unknown as ReplicaCalls, close: () => channel.close() };
}
