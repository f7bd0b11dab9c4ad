import type { Bytes } from '../../primitives/bytes.ts';

/** A key that signs, wherever it is. What only signs asks for this and sees neither token nor PIN. */
export interface Signer {
  readonly kind: 'p256' | 'ed25519';
  /** P-256: the SEC1 point, uncompressed, 65 bytes. Ed25519: 32 bytes (RFC 8032). */
  readonly publicKey: Bytes;
  /** 64 bytes. P-256: ECDSA over the SHA-256 of `message`, r‖s (not DER). Ed25519: over `message` itself. */
  sign(message: Uint8Array): Bytes;
}
