import { readFileSync } from 'node:fs';
import type { DescService } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { statusOf } from '../../daemon/rpc/status.ts';
import { type Handlers, serviceDefinition } from '../../grpc/bridge.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { ERROR_METADATA, encodeError } from '../../protocol/error-info.ts';

/** Where whoever has a replica's certificate listens in its place. */
export interface Place {
  /** host:port */
  readonly address: string;
  /** What it shows; `ca` issues the certificates of who calls. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
}

/** Answers a service's calls as it likes. Whatever it throws, callers are told; returns how to end. */
export async function impersonate<S extends DescService>(
  { address, tls }: Place,
  service: S,
  answers: Handlers<S, undefined>,
): Promise<() => void> {
  const methods = service.methods.map(({ localName }) => {
    const answer = answers[localName as keyof typeof answers] as unknown as (request: object, caller: undefined) => Promise<object>;
    return [
      localName,
      (call: grpc.ServerUnaryCall<object, object>, reply: grpc.sendUnaryData<object>) =>
        answer(call.request, undefined).then(
          (answered) => reply(null, answered),
          (error: unknown) => reply(told(error)),
        ),
    ];
  });
  const server = new grpc.Server();
  server.addService(serviceDefinition(service), Object.fromEntries(methods));
  const pair = { private_key: readFileSync(tls.key), cert_chain: readFileSync(tls.cert) };
  const credentials = grpc.ServerCredentials.createSsl(readFileSync(tls.ca), [pair], true);
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(address.replace('localhost', '127.0.0.1'), credentials, (error) => (error ? reject(error) : resolve())),
  );
  return () => server.forceShutdown();
}

/** As replicas say it; what another replica said goes on as it came. */
function told(error: unknown): Partial<grpc.StatusObject> {
  if (!isVaultError(error)) return error as grpc.ServiceError;
  const metadata = new grpc.Metadata();
  metadata.set(ERROR_METADATA, Buffer.from(encodeError(error)));
  return { code: statusOf[error.code], details: error.message, metadata };
}
