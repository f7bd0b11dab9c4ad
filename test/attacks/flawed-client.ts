import type * as curve from '../../client/curve.ts';
import type * as derive from '../../client/derive.ts';
import type * as oprf from '../../client/oprf.ts';
import type * as payload from '../../client/payload.ts';
import type * as randomSecret from '../../client/random-secret.ts';
import type * as shares from '../../client/shares.ts';
import type * as stretch from '../../client/stretch.ts';

type Modules = typeof curve & typeof derive & typeof oprf & typeof payload & typeof randomSecret & typeof shares & typeof stretch;

/** Functions of the client that another client would have in their place. */
export type ClientFlaw = Partial<Modules>;

/** The functions as they are. */
export const real = {} as Modules;

let flaws: Record<string, unknown> = {};

/** For `vi.mock`: the module, with functions that can be exchanged. Who imports it meets the client's code unless `withClient` says otherwise. */
export function exchangeable<M extends object>(module: M): M {
  Object.assign(real, module);
  const exchanged = Object.entries(module).map(([name, own]) => [
    name,
    typeof own === 'function' ? (...args: unknown[]) => ((flaws[name] ?? own) as (...args: unknown[]) => unknown)(...args) : own,
  ]);
  return Object.fromEntries(exchanged) as M;
}

export async function withClient<T>(flaw: ClientFlaw, run: () => Promise<T>): Promise<T> {
  flaws = flaw;
  try {
    return await run();
  } finally {
    flaws = {};
  }
}
