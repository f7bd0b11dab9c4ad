import { readFileSync } from 'node:fs';
import type { DescService } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import type { HealthImplementation } from 'grpc-health-check';
import { type Handlers, serviceDefinition } from '../../grpc/bridge.ts';
import type { Clock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { ERROR_METADATA, encodeError } from '../../protocol/error-info.ts';
import type { Events } from '../telemetry/events.ts';
import { statusOf } from './status.ts';

type Call = grpc.ServerUnaryCall<object, object>;

export interface Listener<S extends DescService, Caller> {
  readonly address: string;
  /** PEM files; `ca` issues the callers' certificates. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
  readonly service: S;
  readonly handlers: Handlers<S, Caller>;
  /** Of a request, in bytes. */
  readonly mostLength: number;
  /** Makes of the client certificate what the handlers are told. Throws CALLER_UNKNOWN. */
  readonly identify: (call: Call) => Caller;
}

export interface ServerContext {
  readonly health: HealthImplementation;
  readonly events: Events;
  readonly clock: Clock;
}

/** Serves one service over mTLS, with health beside it. Throws PORT_BUSY. */
export async function serve<S extends DescService, Caller>(listener: Listener<S, Caller>, context: ServerContext): Promise<grpc.Server> {
  const { tls, address, mostLength } = listener;
  const server = new grpc.Server({
    'grpc.max_receive_message_length': mostLength,
    'grpc.max_connection_idle_ms': 15 * 60 * 1000,
    'grpc.max_connection_age_ms': 60 * 60 * 1000,
    'grpc.max_connection_age_grace_ms': 10 * 1000,
    'grpc.max_concurrent_streams': 1000,
  });
  server.addService(serviceDefinition(listener.service), implementation(listener, context));
  context.health.addToServer(server);
  const pair = { private_key: readFileSync(tls.key), cert_chain: readFileSync(tls.cert) };
  const credentials = grpc.ServerCredentials.createSsl(readFileSync(tls.ca), [pair], true);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, credentials, (cause) =>
      cause
        ? reject(new VaultError('PORT_BUSY', `Cannot listen on ${address}: it is in use, or not an address of this machine.`, { cause }))
        : resolve(),
    );
  });
  return server;
}

function implementation<S extends DescService, Caller>({ service, handlers, identify }: Listener<S, Caller>, context: ServerContext) {
  const { events, clock } = context;
  const methods = service.methods.map(({ localName }) => {
    const handle = handlers[localName as keyof Handlers<S, Caller>] as unknown as (request: object, caller: Caller) => Promise<object>;
    const answer = async (call: Call, reply: grpc.sendUnaryData<object>) => {
      const began = clock.monotonic();
      try {
        const response = await handle(call.request, identify(call));
        events.answered(localName, clock.monotonic() - began);
        reply(null, response);
      } catch (error) {
        events.answered(localName, clock.monotonic() - began, error);
        reply(toStatus(error));
      }
    };
    return [localName, answer];
  });
  return Object.fromEntries(methods) as grpc.UntypedServiceImplementation;
}

/** What a caller sees of an error: code, sentence, numbers. Causes stay here, in the log. */
function toStatus(error: unknown): Partial<grpc.StatusObject> {
  const known = error instanceof VaultError ? error : new VaultError('INTERNAL', 'The replica failed; its log says why.');
  const metadata = new grpc.Metadata();
  metadata.set(ERROR_METADATA, Buffer.from(encodeError(known)));
  return { code: statusOf[known.code], details: `${known.code}: ${known.message}`, metadata };
}
