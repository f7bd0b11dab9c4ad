const WINDOW = 8;
const FILTER_BITS = 20;

/** Finds any eight bytes in a row: two random strings of a few thousand bytes have none in common but once in 10^12. */
export class Haystack {
  readonly #windows = new Set<bigint>();
  /** By a window's first half. Nearly every window that is not there ends here. */
  readonly #filter = new Uint8Array(1 << FILTER_BITS);

  constructor(parts: readonly Uint8Array[]) {
    for (const part of parts) {
      const view = viewOf(part);
      for (let at = 0; at + WINDOW <= part.length; at++) {
        this.#filter[view.getUint32(at) >>> (32 - FILTER_BITS)] = 1;
        this.#windows.add(view.getBigUint64(at));
      }
    }
  }

  /** Whether eight bytes of the needle, from wherever in it, are there: so any piece of it that is no shorter. */
  hasPieceOf(needle: Uint8Array): boolean {
    const view = viewOf(needle);
    for (let at = 0; at + WINDOW <= needle.length; at++) {
      if (this.#filter[view.getUint32(at) >>> (32 - FILTER_BITS)] && this.#windows.has(view.getBigUint64(at))) return true;
    }
    return false;
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength);
