import type { VaultTransport } from '../../../client/transport.ts';
import { VaultError } from '../../../primitives/errors.ts';

export type Method = keyof VaultTransport;

/** A network that carries every request and loses some replies. */
export class LossyTransport {
  readonly transport: VaultTransport;
  /** Requests that were sent, in order. */
  readonly sent: { readonly method: Method; readonly request: object }[] = [];
  readonly #losses = new Map<Method, number>();

  constructor(inner: VaultTransport) {
    this.transport = Object.fromEntries(
      (Object.keys(inner) as Method[]).map((method) => [
        method,
        async (request: never) => {
          this.sent.push({ method, request });
          const response = await inner[method](request);
          const left = this.#losses.get(method) ?? 0;
          if (left === 0) return response;
          this.#losses.set(method, left - 1);
          throw new VaultError('OUTCOME_UNKNOWN', 'The reply was lost.');
        },
      ]),
    ) as unknown as VaultTransport;
  }

  /** Loses the next replies of one method. */
  lose(method: Method, replies = 1): void {
    this.#losses.set(method, replies);
  }

  requests<T>(method: Method): T[] {
    return this.sent.filter((call) => call.method === method).map(({ request }) => request as T);
  }
}
