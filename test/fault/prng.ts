/** Random numbers that a seed gives again: xoshiro128** (Blackman and Vigna), seeded by splitmix32. Not for secrets. */
export class Prng {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    let z = seed >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      z = (z + 0x9e3779b9) >>> 0;
      let s = z;
      s = Math.imul(s ^ (s >>> 16), 0x21f0aaad);
      s = Math.imul(s ^ (s >>> 15), 0x735a2d97);
      return (s ^ (s >>> 15)) >>> 0;
    });
  }

  /** A generator of its own, so that what one user draws does not move another's numbers. */
  fork(): Prng {
    return new Prng(this.#next());
  }

  /** 0 ≤ x < 1 */
  fraction(): number {
    return this.#next() / 2 ** 32;
  }

  /** from ≤ n ≤ to */
  integer(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('nothing to pick from');
    return items[this.integer(0, items.length - 1)] as T;
  }

  /** One of the keys, by their weights. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return (entries.at(-1) as [K, number])[0];
  }

  #next(): number {
    const s = this.#state as Uint32Array & { 0: number; 1: number; 2: number; 3: number };
    const result = Math.imul(rotate(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11);
    return result;
  }
}

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
