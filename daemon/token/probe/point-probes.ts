import { type Bytes, concat } from '../../../primitives/bytes.ts';
import { decompress } from '../curve.ts';
import { inForm } from '../keys/public-point.ts';
import { derivedX } from '../keys/templates.ts';
import { ecdh } from '../pkcs11/mechanisms.ts';
import { multiple } from '../reference.ts';
import type { Probe, Way } from './probe.ts';

// What no token may derive with. A point that is on another curve has a small order there: each answer gives away the key modulo that order,
// and a few dozen answers the key (Biehl, Meyer, Müller: Differential Fault Attacks on Elliptic Curve Cryptosystems, CRYPTO 2000).

/** p, the field's prime: x = p + 5 stands for x = 5, which is on the curve. */
const FIELD = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const bytesOf = (value: bigint): Bytes => new Uint8Array(Buffer.from(value.toString(16).padStart(64, '0'), 'hex'));

const good = decompress(multiple(2n), '2G');
const [x, y] = [good.subarray(1, 33), good.subarray(33)];
const small = decompress(concat(Uint8Array.of(2), bytesOf(5n)), 'the point with x = 5');

const uncompressed = (...coordinates: Uint8Array[]): Bytes => concat(Uint8Array.of(4), ...coordinates);
const compressed = (of: Uint8Array): Bytes => concat(Uint8Array.of(2), of);

/** A point as it is sent, and a good one in the same form, which has to work. */
interface Bad {
  readonly sent: Bytes;
  readonly good: Bytes;
}

const whole = (sent: Bytes): Bad => ({ sent, good });
const half = (sent: Bytes): Bad => ({ sent, good: compressed(x) });

const bad: Record<string, readonly Bad[]> = {
  'a point off the curve': [
    whole(
      uncompressed(
        x,
        y.map((byte, i) => (i === 31 ? byte ^ 1 : byte)),
      ),
    ),
    whole(uncompressed(bytesOf(1n), bytesOf(1n))),
    half(compressed(bytesOf(1n))), // there is no y for it
  ],
  'the point at infinity': [whole(Uint8Array.of(0)), whole(uncompressed(new Uint8Array(64)))],
  'a coordinate that is not below p': [
    whole(uncompressed(bytesOf(FIELD + 5n), small.subarray(33))),
    whole(uncompressed(bytesOf(FIELD), y)),
    half(compressed(bytesOf(FIELD + 5n))),
  ],
};

/** In either form: a parser that is strict with one may be lax with the other. */
const waysOf = (name: 'oprf' | 'release', points: readonly Bad[]): Way[] =>
  (['raw', 'der'] as const).flatMap((form) =>
    points.map(
      (point): Way =>
        ({ session, profile, keys }, keep) => {
          const derive = (data: Bytes) => keep(session.derive(ecdh(wrapped(form, data)), keys[name], derivedX(profile)));
          derive(point.good);
          return () => derive(point.sent);
        },
    ),
  );

/** OCTET STRING, whatever the length. */
const wrapped = (form: 'raw' | 'der', point: Bytes): Bytes =>
  form === 'raw' ? inForm(form, point) : concat(Uint8Array.of(4, point.length), point);

export const pointProbes: readonly Probe[] = (['oprf', 'release'] as const).flatMap((name) =>
  Object.entries(bad).map(
    ([what, points]): Probe => ({
      name: `derive with ${name} and ${what}`,
      stoppedBy: 'points',
      ways: () => waysOf(name, points),
      anyFailure: true,
    }),
  ),
);
