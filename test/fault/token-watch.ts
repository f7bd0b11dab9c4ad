import { createECDH } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { p256 } from '@noble/curves/nist.js';
import { fromHex, toHex } from '../../primitives/bytes.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import type { Evaluated } from './history.ts';

const { Fn } = p256.Point;

const MAC_DIGITS = 64; // a signature has twice as many

interface Asked {
  readonly tweak: string;
  readonly mac: string;
}

/** Follows what the shim before a token writes down: which points it multiplied, under which tweak. */
export class TokenWatch {
  readonly #file: string;
  readonly #replica: number;
  /** By session: the HMAC that it asked for last. A derivation right after is under the tweak that is made of it. */
  readonly #asked = new Map<string, Asked>();
  readonly #seen = new Set<string>();
  #offset = 0;

  constructor(file: string, replica: number) {
    this.#file = file;
    this.#replica = replica;
  }

  /** What is new; each point under a tweak is told once. */
  poll(at: number): Evaluated[] {
    const evaluated: Evaluated[] = [];
    for (const [verb, session, data, result = ''] of this.#lines()) {
      const asked = this.#asked.get(session);
      this.#asked.delete(session);
      if (verb === 'sign' && result.length === MAC_DIGITS) this.#asked.set(session, { tweak: data, mac: result });
      if (verb !== 'derive' || !asked) continue; // the token tests itself without a tweak
      const name = `${asked.tweak} ${data}`;
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      evaluated.push({ type: 'evaluated', at, replica: this.#replica, tweak: asked.tweak, x: withoutTweak(data, asked.mac) });
    }
    return evaluated;
  }

  /** Another process has the token: its sessions are others, though their handles may be the same. */
  restarted(): void {
    this.#asked.clear();
  }

  #lines(): [verb: string, session: string, data: string, result?: string][] {
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

/** x of the point that a tweak made this one of. By OpenSSL: a run has tens of thousands. */
function withoutTweak(point: string, mac: string): string {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(Fn.toBytes(Fn.inv(Fn.fromBytes(tweakFrom(fromHex(mac, 'a MAC'))))));
  return toHex(new Uint8Array(ecdh.computeSecret(fromHex(point, 'a point'))));
}
