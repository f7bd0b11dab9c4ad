import type { Bytes } from '../../primitives/bytes.ts';
import type { CompressedPoint } from '../../protocol/point.ts';

/** A stored value's transcript (32 bytes) and the tag (32 bytes) that this token's MAC key made for it. */
export interface MacCheck {
  readonly digest: Uint8Array;
  readonly tag: Uint8Array;
}

/** A 32-byte secret under AES-KW (40 bytes), and the transcript (32 bytes) that its session key is derived with. */
export interface Sealed {
  readonly sessionTranscript: Uint8Array;
  readonly sealed: Uint8Array;
}

/** What the token is, as it says itself. */
export interface TokenIdentity {
  readonly manufacturer: string;
  readonly model: string;
  readonly serial: string;
  readonly firmware: string;
  readonly sessionKey: CompressedPoint;
  readonly receiptKey: CompressedPoint;
  /** Numbers of the sets that can be read with, ascending; the last one is in force. */
  readonly keySets: readonly number[];
}

/**
 * All that the daemon asks of its token while serving. Every call is one visit to a worker thread; keys never pass it. `epoch` is that
 * of the body stored, under whose keys it is read: KEY_MISSING once they were destroyed. All else is done with the keys in force.
 * Errors: TOKEN_UNAVAILABLE, TOKEN_FAULT, BUSY, and those named at each call.
 */
export interface TokenPort {
  readonly identity: TokenIdentity;

  /** Makes a per-record OPRF key (k, K) in the token, evaluates `point` with it, wraps it under KEK_oprf. MALFORMED for a bad point. */
  newOprfKey(point: CompressedPoint): Promise<{ publicKey: CompressedPoint; wrappedKey: Bytes; evaluated: CompressedPoint }>;

  /** RFC 9497 §3.3.1 BlindEvaluate under a stored key. The MAC is verified before anything is unwrapped: MAC_REFUSED. MALFORMED for a bad point. */
  evaluate(request: {
    epoch: number;
    mac: MacCheck;
    wrappedKey: Uint8Array;
    publicKey: CompressedPoint;
    point: CompressedPoint;
  }): Promise<CompressedPoint>;

  /**
   * Takes over what a client sealed at enrolment: verifies the ticket's MAC (TICKET_REFUSED), opens both secrets with their
   * session keys (SEAL_REFUSED), wraps them under KEK_auth and KEK_release, then unwraps all three blobs as a recovery would and
   * evaluates `point` again, which must give `evaluated` (TOKEN_FAULT).
   */
  adopt(request: {
    ticket: MacCheck;
    clientKey: CompressedPoint;
    auth: Sealed;
    release: Sealed;
    wrappedKey: Uint8Array;
    publicKey: CompressedPoint;
    point: CompressedPoint;
    evaluated: CompressedPoint;
  }): Promise<{ wrappedAuth: Bytes; wrappedRelease: Bytes }>;

  /**
   * Verifies MAC (MAC_REFUSED), then `proof` = HMAC-SHA-256(auth, proofTranscript) with C_Verify (PROOF_REFUSED), and only then
   * unwraps the release share and wraps it to the session: 40 bytes AES-KW.
   */
  release(request: {
    epoch: number;
    mac: MacCheck;
    wrappedAuth: Uint8Array;
    proofTranscript: Uint8Array;
    proof: Uint8Array;
    wrappedRelease: Uint8Array;
    clientKey: CompressedPoint;
    sessionTranscript: Uint8Array;
  }): Promise<Bytes>;

  /** ECDSA P-256 by the receipt key over a 32-byte transcript: r‖s, 64 bytes (CKM_ECDSA). */
  sign(digest: Uint8Array): Promise<Bytes>;

  /** HMAC-SHA-256 by the MAC key over a 32-byte transcript: 32 bytes. */
  mac(digest: Uint8Array): Promise<Bytes>;

  /** Throws MAC_REFUSED. */
  verifyMac(check: MacCheck & { epoch: number }): Promise<void>;

  /** 32 bytes that the token keeps: who served with it last (daemon/tenure.ts). */
  readBootRecord(): Promise<Bytes>;
  writeBootRecord(record: Uint8Array): Promise<void>;

  /** Waits for calls under way, logs out, finalises the module. */
  close(): Promise<void>;
}
