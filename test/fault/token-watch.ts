import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { p256 } from '@noble/curves/nist.js';
import type { Evaluated } from './history.ts';

/** Follows what the shim before a token writes down: which points its record keys were used on. */
export class TokenWatch {
  readonly #file: string;
  readonly #replica: number;
  readonly #keys = new Map<string, string>(); // a handle means what was unwrapped to it last
  readonly #seen = new Set<string>();
  #offset = 0;

  constructor(file: string, replica: number) {
    this.#file = file;
    this.#replica = replica;
  }

  /** What is new; each point of a key is told once. */
  poll(at: number): Evaluated[] {
    const derived: { key: string; point: InstanceType<typeof p256.Point> }[] = [];
    for (const [verb, handle, data] of this.#lines()) {
      if (verb === 'initialise') this.#keys.clear(); // handles are counted from the beginning again
      if (verb === 'unwrap') this.#keys.set(handle, data);
      const key = this.#keys.get(handle);
      if (verb !== 'derive' || key === undefined) continue; // of a key that was generated just now: an offer
      const name = `${key} ${data}`;
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      const affine = { x: BigInt(`0x${data.slice(2, 66)}`), y: BigInt(`0x${data.slice(66)}`) };
      derived.push({ key, point: p256.Point.fromAffine(affine) });
    }
    if (derived.length === 0) return [];
    // All at once: one inversion instead of thousands.
    const next = normalizeZ(
      p256.Point,
      derived.map(({ point }) => point.add(p256.Point.BASE)),
    );
    return derived.map(({ key, point }, i) => ({
      type: 'evaluated',
      at,
      replica: this.#replica,
      key,
      point: point.toHex(true),
      next: (next[i] as typeof point).equals(p256.Point.ZERO) ? '' : (next[i] as typeof point).toHex(true), // −G: a token tests itself with it
    }));
  }

  #lines(): [verb: string, handle: string, data: string][] {
    const text = this.#readOn();
    const whole = text.slice(0, text.lastIndexOf('\n') + 1); // a line without its end is still being written
    this.#offset += Buffer.byteLength(whole);
    return whole
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split(' ') as [string, string, string]);
  }

  #readOn(): string {
    if (!existsSync(this.#file)) return '';
    const file = openSync(this.#file, 'r');
    const buffer = Buffer.alloc(Math.max(0, fstatSync(file).size - this.#offset));
    const length = readSync(file, buffer, 0, buffer.length, this.#offset);
    closeSync(file);
    return buffer.toString('latin1', 0, length);
  }
}
