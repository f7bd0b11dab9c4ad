import { sha256 } from '@noble/hashes/sha2.js';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import { type Bytes, constantTimeEqual, fromUtf8, toHex, utf8 } from '../../primitives/bytes.ts';
import type { CheckCode } from './check-codes.ts';
import { refuse, refusing } from './checks.ts';

/** An evidence directory: names with `/`, relative to it, and contents. */
export type EvidenceFiles = ReadonlyMap<string, Uint8Array>;

/** Throws evidence-incomplete. */
export function need(files: EvidenceFiles, name: string): Uint8Array {
  const file = files.get(name);
  if (!file) throw refuse('evidence-incomplete', `The file ${name} is missing.`);
  return file;
}

export const hexHash = (bytes: Uint8Array): string => toHex(sha256(bytes));

/** Text in UTF-8. Throws `code`. */
export const decodeText = (bytes: Uint8Array, code: CheckCode, what: string): string =>
  refusing(code, `${what} is not text in UTF-8.`, () => fromUtf8(bytes, what));

/** JSON that the schema knows, in canonical form (RFC 8785) and no other. Throws `code`. */
export function parseCanonical<T>(bytes: Uint8Array, schema: z.ZodType<T>, code: CheckCode, what: string): T {
  const text = decodeText(bytes, code, what);
  let document: T;
  let canonical: Bytes;
  try {
    document = schema.parse(JSON.parse(text));
    canonical = encodeCanonical(document); // throws for half a character, which JSON can spell
  } catch (cause) {
    const why = cause instanceof z.ZodError ? ` (${cause.issues[0]?.path.join('.')}: ${cause.issues[0]?.message})` : '';
    throw refuse(code, `${what} does not have the form that it should${why}.`, cause);
  }
  if (!constantTimeEqual(canonical, bytes)) throw refuse(code, `${what} is not in canonical form (RFC 8785).`);
  return document;
}

export const encodeCanonical = (document: unknown): Bytes => utf8(canonicalize(document) as string);

/** Whether both have the same canonical form. */
export const sameCanonical = (a: unknown, b: unknown): boolean => constantTimeEqual(encodeCanonical(a), encodeCanonical(b));
