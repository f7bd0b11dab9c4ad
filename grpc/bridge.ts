import {
  create,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';

// The bridge between protobuf-es descriptors and grpc-js, for unary methods. Both ends of every call of the project use it.

type Methods<S extends DescService> = S['method'];

type Request<M> = M extends DescMethodUnary<infer I> ? MessageShape<I> : never;
type RequestInit<M> = M extends DescMethodUnary<infer I> ? MessageInitShape<I> : never;
type Response<M> = M extends DescMethodUnary<infer _, infer O> ? MessageShape<O> : never;
type ResponseInit<M> = M extends DescMethodUnary<infer _, infer O> ? MessageInitShape<O> : never;

/** Answers each method of a service. `Caller` is what the server made of the client certificate. */
export type Handlers<S extends DescService, Caller> = {
  [K in keyof Methods<S>]: (request: Request<Methods<S>[K]>, caller: Caller) => Promise<ResponseInit<Methods<S>[K]>>;
};

/** Calls each method of a service; rejects with grpc.ServiceError. */
export type Client<S extends DescService> = {
  [K in keyof Methods<S>]: (request: RequestInit<Methods<S>[K]>, options?: grpc.CallOptions) => Promise<Response<Methods<S>[K]>>;
};

/** grpc-js's definition of a service: paths, and (de)serialisers from the descriptors. */
export function serviceDefinition(service: DescService): grpc.ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(method as DescMethodUnary)]));
}

function methodDefinition(method: DescMethodUnary): grpc.MethodDefinition<object, object> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: (init) => Buffer.from(toBinary(method.input, create(method.input, init as never))),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (init) => Buffer.from(toBinary(method.output, create(method.output, init as never))),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes, { readUnknownFields: false }), // they would be handed on, and nobody signs them
  };
}

/** A promise for each method, over one channel. */
export function promiseClient<S extends DescService>(service: S, client: grpc.Client): Client<S> {
  const call = (method: DescMethodUnary) => {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
    return (request: object, options: grpc.CallOptions = {}) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, new grpc.Metadata(), options, (error, response) =>
          error ? reject(error) : resolve(response),
        );
      });
  };
  return Object.fromEntries(service.methods.map((method) => [method.localName, call(method as DescMethodUnary)])) as unknown as Client<S>;
}
