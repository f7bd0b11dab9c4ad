import { ECDH } from 'node:crypto';

// What the host computed for an evaluation before keys were tweaked (landed-token.ts), for the comparison alone.

interface AffinePoint {
  readonly x: bigint;
  readonly y: bigint;
}

// y² = x³ − 3x + b (mod p), SEC 2 §2.4.2
const p = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const generator: AffinePoint = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
};

/** The points that the token multiplied, P and P + G, uncompressed; and what made k·P, compressed, of the x coordinates of their products. */
export function beginLandedEvaluation(
  publicKey: Uint8Array,
  point: Uint8Array,
): { points: Buffer[]; finish: (xs: readonly Buffer[]) => Buffer } {
  const [element, key] = [decompress(point), decompress(publicKey)];
  const run = element.x - generator.x;
  const twiceY = 2n * key.y;
  const inverseOfBoth = inverse(modulo(run * twiceY));
  const slope = modulo((element.y - generator.y) * modulo(twiceY * inverseOfBoth));
  const x = modulo(slope * slope - element.x - generator.x);
  const sum = { x, y: modulo(slope * (generator.x - x) - generator.y) };
  const inverseOf2y = modulo(run * inverseOfBoth);
  return { points: [uncompressed(element), uncompressed(sum)], finish: ([q, r]) => recover(toInteger(q), toInteger(r), key, inverseOf2y) };
}

/** k·P of x(k·P), x(k·P + K) and K: the addition law gives y without a root. */
function recover(x: bigint, xOfSum: bigint, key: AffinePoint, inverseOf2y: bigint): Buffer {
  const difference = x - key.x;
  const left = (xOfSum + x + key.x) * modulo(difference * difference);
  const ySquared = modulo(x * modulo(x * x - 3n) + b);
  const y = modulo(modulo(ySquared + key.y * key.y - left) * inverseOf2y);
  if (modulo(y * y) !== ySquared) throw new Error('the landed evaluation does not fit its public key');
  return Buffer.concat([Buffer.of(y & 1n ? 3 : 2), toBytes(x)]);
}

function decompress(point: Uint8Array): AffinePoint {
  const bytes = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'uncompressed') as Buffer;
  return { x: toInteger(bytes.subarray(1, 33)), y: toInteger(bytes.subarray(33)) };
}

const uncompressed = ({ x, y }: AffinePoint): Buffer => Buffer.concat([Buffer.of(4), toBytes(x), toBytes(y)]);

const modulo = (value: bigint): bigint => {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
};

/** Extended Euclid. */
function inverse(value: bigint): bigint {
  let [a, m, x, y] = [value, p, 1n, 0n];
  while (a !== 1n) {
    const quotient = m / a;
    [a, m, x, y] = [m - quotient * a, a, y - quotient * x, x];
  }
  return modulo(x);
}

const toInteger = (bytes: Buffer | undefined): bigint => BigInt(`0x${bytes?.toString('hex')}`);
const toBytes = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
