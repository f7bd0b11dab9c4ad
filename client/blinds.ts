import { type Bytes, exactly, toHex } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { expand } from '../protocol/scalar.ts';
import { blindTranscript } from '../protocol/transcripts.ts';
import { baseScalar } from './derive.ts';
import { type Blinded, blind } from './oprf.ts';
import { randomSecret } from './random-secret.ts';

/**
 * Where an app keeps what blinds are made of, so that a code that was sent before a restart is sent again as the same point, which costs
 * nothing: a secret of 32 bytes under each name. Keep it as the device keeps its keys. With it, whoever recorded the traffic can guess codes
 * without the vault; without it nobody can, and the worst is one attempt more.
 */
export interface BlindStore {
  load(name: string): Promise<Uint8Array | undefined>;
  save(name: string, secret: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
}

/** For as long as the process lives. */
export function memoryBlindStore(): BlindStore {
  const secrets = new Map<string, Uint8Array>();
  return {
    load: async (name) => secrets.get(name)?.slice(),
    save: async (name, secret) => void secrets.set(name, secret.slice()),
    remove: async (name) => {
      secrets.get(name)?.fill(0);
      secrets.delete(name);
    },
  };
}

const SECRET_LENGTH = 32;

/**
 * The blind of each code, for each generation of a record: the same code gives the same point, until the
 * record was opened with it. Nothing that anybody says ends it sooner: a blind that were dropped on a coordinator's word would cost the next attempt.
 */
export class Blinds {
  readonly #store: BlindStore;

  constructor(store: BlindStore) {
    this.#store = store;
  }

  /** RFC 9497 §3.3.1 Blind, by a scalar that only whoever has the secret can make of the input again; and b, which is made in the same way. */
  async blind(rid: Uint8Array, g: Uint8Array, input: SecretBytes): Promise<Blinded & { readonly base: SecretBytes }> {
    const name = nameOf(rid, g);
    const kept = await this.#store.load(name);
    const secret = kept ? new SecretBytes(exactly(SECRET_LENGTH, kept, 'a blind’s secret')) : randomSecret(SECRET_LENGTH);
    if (!kept) await this.#store.save(name, secret.expose());
    try {
      const info = blindTranscript(rid, g, input.expose());
      const base = baseScalar(secret.expose(), rid, g, input);
      return { ...blind(input, (length = SECRET_LENGTH) => bytesFrom(expand(secret.expose(), info.digest), length)), base };
    } finally {
      secret.wipe();
    }
  }

  /** Whether some code was tried against this generation, as far as is remembered. */
  async knows(rid: Uint8Array, g: Uint8Array): Promise<boolean> {
    return (await this.#store.load(nameOf(rid, g))) !== undefined;
  }

  /** Codes give other points from now on. */
  drop(rid: Uint8Array, g: Uint8Array): Promise<void> {
    return this.#store.remove(nameOf(rid, g));
  }
}

const nameOf = (rid: Uint8Array, g: Uint8Array): string => `${toHex(rid)}-${toHex(g)}`;

function bytesFrom(blocks: Iterable<Bytes>, length: number): Bytes {
  const bytes = new Uint8Array(length);
  let filled = 0;
  for (const block of blocks) {
    bytes.set(block.subarray(0, length - filled), filled);
    filled += block.length;
    if (filled >= length) break;
  }
  return bytes;
}
