import { createECDH, createHmac } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, concat, utf8 } from '../../primitives/bytes.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import { type TweakUse, tweakTranscript } from '../../protocol/transcripts.ts';

const { Fn } = p256.Point;

/** Which generation of whose record: as a tweak names it. */
export interface Named {
  readonly fleet: string;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
}

/** The use of a replica's token, as its PIN gives it. It is played by the keys themselves, which is worth no less. */
export interface Token {
  readonly index: number;
  /** k */
  readonly oprfKey: Uint8Array;
  /** r */
  readonly releaseKey: Uint8Array;
  readonly macKey: Uint8Array;
}

/** By the token's HMAC: t_o or t_r, 32 bytes. */
export function tweak({ index, macKey }: Token, use: TweakUse, { fleet, rid, g }: Named, seed: Uint8Array): Bytes {
  const { digest } = tweakTranscript(use, { fleet, index, rid, g, seed });
  return tweakFrom(createHmac('sha256', macKey).update(digest).digest());
}

/** k·t_o or r·t_r, 32 bytes. */
export function keyUnder(token: Token, use: TweakUse, named: Named, seed: Uint8Array): Bytes {
  const key = use === 'oprf' ? token.oprfKey : token.releaseKey;
  return product(key, tweak(token, use, named, seed));
}

/** Of two scalars. */
export const product = (a: Uint8Array, b: Uint8Array): Bytes => Fn.toBytes(Fn.mul(Fn.fromBytes(a), Fn.fromBytes(b))) as Bytes;

export const inverse = (scalar: Uint8Array): Bytes => Fn.toBytes(Fn.inv(Fn.fromBytes(scalar))) as Bytes;

/** x of a point under a scalar; undefined where the bytes are no point. By OpenSSL, several times as fast as big integers. */
export function under(scalar: Uint8Array): (point: Uint8Array) => Bytes | undefined {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(scalar);
  return (point) => {
    try {
      return new Uint8Array(ecdh.computeSecret(point));
    } catch {
      return undefined;
    }
  };
}

/** The compressed point of this x whose y is even. */
export const lifted = (x: Uint8Array): Bytes => concat(Uint8Array.of(2), x);

/** RFC 9497 §3.3.1, the end of Finalize, of the element with this x and even y. */
export function outputOf(input: Uint8Array, x: Uint8Array): Bytes {
  const framed = (bytes: Uint8Array) => concat(Uint8Array.of(bytes.length >> 8, bytes.length), bytes);
  return sha256(concat(framed(input), framed(lifted(x)), utf8('Finalize'))) as Bytes;
}
