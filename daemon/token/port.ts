import type { Bytes } from '../../primitives/bytes.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import type { XCoordinate } from '../../protocol/x-coordinate.ts';

/** What the token is, as it says itself. */
export interface TokenIdentity {
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly firmware: string;
  /** K */
  readonly oprfKey: CompressedPoint;
  /** R */
  readonly releaseKey: CompressedPoint;
  /** V */
  readonly receiptKey: CompressedPoint;
  /** Numbers of the sets that can be read with, ascending; the last one is in force. */
  readonly keySets: readonly number[];
}

/** A generation of a record: rid 32 bytes, g 16. */
export interface GenerationKey {
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
}

/** What this replica stored for a generation, under the keys of `epoch`: the body's. */
export interface StoredGeneration extends GenerationKey {
  readonly epoch: number;
  readonly bodyHash: Uint8Array;
  /** 32 bytes. */
  readonly seed: Uint8Array;
  readonly enrolledAtMs: bigint;
  /** 32 bytes, by the MAC key over transcript "sub-record". */
  readonly mac: Uint8Array;
}

/** Of whoever knows the code of an attempt. */
export interface Proven {
  readonly generation: StoredGeneration;
  /** A, which the body has. */
  readonly proofKey: CompressedPoint;
  readonly attempt: number;
  readonly point: CompressedPoint;
  /** B */
  readonly blindedBase: CompressedPoint;
  /** ECDSA r‖s, 64 bytes. */
  readonly proof: Uint8Array;
}

/**
 * All that the daemon asks of its token while serving: one call for one step of the protocol, and each is one visit to a worker thread.
 * Keys never pass it. Transcripts are made here, of the fleet, replica and epoch that the token was opened for. A stored generation is
 * read under the keys of its epoch: KEY_MISSING once they were destroyed. All else is done with the keys in force.
 * Errors: TOKEN_UNAVAILABLE, TOKEN_FAULT, BUSY, and those named at each call. MALFORMED for what is not a point of the curve.
 */
export interface TokenPort {
  readonly identity: TokenIdentity;

  /** Evaluates `point` and gives the release element under tweaks of `seed`; `tag` is for the ticket, `signature` for the offer. */
  offer(
    request: GenerationKey & {
      readonly point: CompressedPoint;
      readonly proofKey: CompressedPoint;
      readonly seed: Uint8Array;
      /** 16 bytes. */
      readonly nonce: Uint8Array;
      readonly expiresAtMs: bigint;
      readonly changes: bigint;
    },
  ): Promise<{ evaluated: XCoordinate; releaseElement: XCoordinate; tag: Bytes; signature: Bytes }>;

  /**
   * Computes again what was offered, which must come out the same (TOKEN_FAULT), and gives the sub-record's MAC, 32 bytes, and the signature
   * over transcript "prepared", 64 bytes.
   */
  prepare(
    request: Omit<StoredGeneration, 'epoch' | 'mac'> & {
      readonly point: CompressedPoint;
      readonly evaluated: XCoordinate;
      readonly releaseElement: XCoordinate;
      /** 16 bytes, or none. */
      readonly previous: Uint8Array;
    },
  ): Promise<{ mac: Bytes; signature: Bytes }>;

  /**
   * RFC 9497 §3.3.1 BlindEvaluate under the generation's key, up to sign: an x coordinate; and the receipt's signature. MAC_REFUSED
   * before anything is computed.
   */
  evaluate(request: {
    readonly generation: StoredGeneration;
    readonly point: CompressedPoint;
    readonly attempt: number;
    readonly limit: number;
    /** Attempts that the guard has counted. */
    readonly used: number;
  }): Promise<{ evaluated: XCoordinate; signature: Bytes }>;

  /** Throws MAC_REFUSED where this replica did not store just this, KEY_MISSING. */
  check(generation: StoredGeneration): Promise<void>;

  /** Verifies MAC (MAC_REFUSED) and proof (PROOF_REFUSED), and nothing else. */
  verify(request: Proven): Promise<void>;

  /** Verifies both, and only then multiplies the blinded base by the generation's release key. */
  release(request: Proven): Promise<{ released: XCoordinate; signature: Bytes }>;

  /** ECDSA P-256 by the receipt key over a 32-byte transcript: r‖s, 64 bytes (CKM_ECDSA). */
  sign(digest: Uint8Array): Promise<Bytes>;

  /** HMAC-SHA-256 by the MAC key over a 32-byte transcript: 32 bytes. */
  mac(digest: Uint8Array): Promise<Bytes>;

  /** 32 bytes that the token keeps: who served with it last (daemon/tenure.ts). */
  readBootRecord(): Promise<Bytes>;
  writeBootRecord(record: Uint8Array): Promise<void>;

  /** Waits for calls under way, logs out, finalises the module. */
  close(): Promise<void>;
}
