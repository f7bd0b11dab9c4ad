import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { VaultError } from './errors.ts';

export type Bytes = Uint8Array<ArrayBuffer>;

export const toHex = bytesToHex;
export const utf8 = (text: string): Bytes => utf8ToBytes(text) as Bytes;
export const concat = (...parts: Uint8Array[]): Bytes => concatBytes(...parts) as Bytes;

/** Lower- or upper-case hexadecimal. Throws MALFORMED, naming `what`. */
export function fromHex(text: string, what: string): Bytes {
  try {
    return hexToBytes(text) as Bytes;
  } catch {
    throw new VaultError('MALFORMED', `${what} must be hexadecimal with an even number of digits.`);
  }
}

/** Throws MALFORMED, naming `what`. */
export function fromUtf8(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new VaultError('MALFORMED', `${what} is not UTF-8.`, { cause });
  }
}

/** Unsigned 64-bit big-endian. Throws RangeError for what does not fit. */
export function uint64(value: number | bigint): Bytes {
  const integer = BigInt(value);
  if (BigInt.asUintN(64, integer) !== integer) throw new RangeError(`not an unsigned 64-bit integer: ${value}`);
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, integer);
  return out;
}

/** Compares in time that depends on the lengths only. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

export function xor(a: Uint8Array, b: Uint8Array): Bytes {
  if (a.length !== b.length) throw new RangeError('xor needs equal lengths');
  return a.map((byte, i) => byte ^ (b[i] as number)) as Bytes;
}

/** Returns `value` if it has `length` bytes, throws MALFORMED naming `what` otherwise. */
export function exactly(length: number, value: Uint8Array, what: string): Bytes {
  if (value.length !== length) throw new VaultError('MALFORMED', `${what} must be ${length} bytes, got ${value.length}.`);
  return value as Bytes;
}
