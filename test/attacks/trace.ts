import type { VaultTransport } from '../../client/transport.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { toHex } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { InstantClock, quickHash, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { overheard } from './recorder.ts';

/** Something between a client and the wire that makes it behave as another client would. */
export type Flaw = (transport: VaultTransport) => VaultTransport;

/**
 * What can be seen of a client from outside while it recovers: its requests in order, its pauses, and how it ended. Byte strings are
 * named in the order in which they turn up, so that two traces are equal if they differ in nothing but fresh randomness, and the same
 * bytes sent again show as such.
 */
export async function traceOf(fleet: SoftFleet, code: string, flaw: Flaw = (transport) => transport): Promise<readonly string[]> {
  const trace: string[] = [];
  const shape = shaper();
  const clock = new InstantClock();
  clock.sleep = async (duration) => {
    trace.push(`pause of ${duration} ms`);
  };
  const wire = overheard(fleet, ({ method, from, message }) => {
    if (from === 'client') trace.push(`${method} ${JSON.stringify(shape(message))}`);
  });
  const { name, policy } = fleet;
  const client = new VaultClient({ transport: flaw(wire), policy, fleet: name, tenant: SoftFleet.tenant, clock, argon2id: quickHash });
  try {
    const { attempt, renewal } = await client.recover({ recordId: RECORD, code });
    trace.push(`recovered at attempt ${attempt}, ${renewal.state}`);
  } catch (error) {
    if (!isVaultError(error)) throw error;
    trace.push(`${error.code} ${JSON.stringify(error.details)}`);
  }
  return trace;
}

/** Of messages of one trace: everything but what their random bytes are. */
function shaper(): (value: unknown) => unknown {
  const names = new Map<string, string>();
  const nameOf = (bytes: Uint8Array) => {
    const key = toHex(bytes);
    const name = names.get(key) ?? `#${names.size}, ${bytes.length} bytes`;
    names.set(key, name);
    return name;
  };
  const shape = (value: unknown): unknown => {
    if (value instanceof Uint8Array) return nameOf(value);
    if (typeof value === 'bigint') return String(value);
    if (Array.isArray(value)) return value.map(shape);
    if (typeof value !== 'object' || value === null) return value;
    // The x of a share is drawn at random, too.
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, key === 'x' ? 'random' : shape(inner)]));
  };
  return shape;
}
