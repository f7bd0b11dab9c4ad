import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { p256, p256_oprf } from '@noble/curves/nist.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { randomBytes } from '@noble/hashes/utils.js';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { TicketSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  type Deposit,
  EnrolledSchema,
  type Evaluation,
  EvaluationSchema,
  OfferSchema,
  ReleaseSchema,
} from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import type { Statement, StatementDocument } from '../../protocol/statement.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import {
  enrolledTranscript,
  offerTranscript,
  proofTranscript,
  receiptTranscript,
  type SessionPurpose,
  sessionTranscript,
  ticketHashTranscript,
} from '../../protocol/transcripts.ts';

export const ENROLLED_AT = Date.UTC(2026, 0, 2, 3, 4, 5);

/** A request whose session key and proof are bound to all of this. */
export interface Session extends HashedBody {
  readonly statement: Statement;
  readonly attempt: number;
  readonly point: Uint8Array;
  readonly clientKey: Uint8Array;
}

interface Held {
  readonly auth: Uint8Array;
  readonly release: Uint8Array;
}

/** One replica and its token, in software and by other libraries than the client's where there are any. */
export class SoftReplica {
  readonly index: number;
  /** Evaluates under a wrong key, and signs that. */
  lies = false;
  /** Releases a wrong share, sealed as it should be. */
  liesAtRelease = false;
  readonly #suite: 'A' | 'B';
  readonly #session = p256.keygen();
  readonly #receipt = p256.keygen();
  readonly #oprfKeys = new Map<string, Uint8Array>();
  readonly #held = new Map<string, Held>();

  constructor(index: number, suite: 'A' | 'B') {
    this.index = index;
    this.#suite = suite;
  }

  entry(): StatementDocument['replicas'][number] {
    return {
      index: this.index,
      name: `replica-${this.index}`,
      session_key: toHex(this.#session.publicKey),
      session_suite: this.#suite,
      receipt_key: toHex(this.#receipt.publicKey),
      guard_incarnation: 1,
      token: { manufacturer: 'test', model: 'test', serial: String(this.index), firmware: '0' },
      key_attributes: {},
    };
  }

  /** As CKM_ECDSA does: over the digest, and with whatever s comes out. */
  sign(transcript: Transcript): Uint8Array {
    return p256.sign(transcript.digest, this.#receipt.secretKey, { prehash: false, lowS: false });
  }

  holds(g: Uint8Array): boolean {
    return this.#held.has(toHex(g));
  }

  /** All that it has of a generation, for whoever took it over. */
  stateOf(g: Uint8Array) {
    const { auth, release } = this.#held.get(toHex(g)) as Held;
    const oprfKey = this.#oprfKeys.get(toHex(g)) as Uint8Array;
    return { index: this.index, oprfKey, sessionKey: this.#session.secretKey, auth, release };
  }

  offer({ fleet, epoch }: Statement, asked: { rid: Uint8Array; g: Uint8Array; point: Uint8Array; clientKey: Uint8Array }) {
    const { secretKey, publicKey } = p256_oprf.oprf.generateKeyPair();
    this.#oprfKeys.set(toHex(asked.g), secretKey);
    const evaluated = p256_oprf.oprf.blindEvaluate(secretKey, asked.point);
    const ticket = create(TicketSchema, { wrappedKey: randomBytes(40), expiresAtMs: 1n, changes: 0n, tag: randomBytes(32) });
    const { digest } = ticketHashTranscript(this.index, ticket);
    const signature = this.sign(offerTranscript({ fleet, epoch, index: this.index, ...asked, publicKey, evaluated }, digest));
    return create(OfferSchema, { index: this.index, publicKey, evaluated, ticket, signature });
  }

  async adopt(session: Session, deposit: Deposit): Promise<void> {
    const auth = this.#unseal(this.#sessionKey(session, 'enrol-auth'), deposit.sealedAuth);
    const release = this.#unseal(this.#sessionKey(session, 'enrol-release'), deposit.sealedRelease);
    this.#held.set(toHex(session.body.g), { auth, release });
  }

  enrolled({ fleet, epoch }: Statement, { body: { rid, g }, bodyHash }: HashedBody) {
    const { index } = this;
    return create(EnrolledSchema, { index, signature: this.sign(enrolledTranscript({ fleet, epoch, index, rid, g }, bodyHash)) });
  }

  evaluate(statement: Statement, { body, bodyHash }: HashedBody, attempt: number, point: Uint8Array): Evaluation {
    const key = this.lies ? p256_oprf.oprf.generateKeyPair().secretKey : (this.#oprfKeys.get(toHex(body.g)) as Uint8Array);
    const evaluated = p256_oprf.oprf.blindEvaluate(key, point);
    return this.receipt(statement, { body, bodyHash }, attempt, point, evaluated, body.policy.limit);
  }

  receipt(statement: Statement, { body, bodyHash }: HashedBody, attempt: number, point: Uint8Array, evaluated: Uint8Array, limit: number) {
    const { index } = this;
    const enrolledAtMs = BigInt(ENROLLED_AT + index);
    const { fleet, epoch } = statement;
    const { rid, g } = body;
    const transcript = receiptTranscript({ fleet, epoch, index, rid, g, attempt, limit, point, evaluated, bodyHash, enrolledAtMs });
    return create(EvaluationSchema, { index, evaluated, enrolledAtMs, signature: this.sign(transcript) });
  }

  async release(session: Session, proof: Uint8Array) {
    const { body, statement, attempt, point, clientKey } = session;
    const held = this.#held.get(toHex(body.g)) as Held;
    const { fleet, epoch } = statement;
    const { digest } = proofTranscript({ fleet, epoch, index: this.index, rid: body.rid, g: body.g }, attempt, point, clientKey);
    if (!constantTimeEqual(hmac(sha256, held.auth, digest), proof)) throw new VaultError('PROOF_REFUSED', 'wrong proof');
    const share = this.liesAtRelease ? randomBytes(32) : held.release;
    return create(ReleaseSchema, { index: this.index, sealed: this.#seal(this.#sessionKey(session, 'recover-release'), share) });
  }

  #sessionKey({ statement, body, bodyHash, attempt, point, clientKey }: Session, purpose: SessionPurpose): Uint8Array {
    const { digest } = sessionTranscript({
      suite: this.#suite,
      purpose,
      fleet: statement.fleet,
      epoch: statement.epoch,
      statementHash: statement.hash,
      index: this.index,
      sessionKey: this.#session.publicKey,
      rid: body.rid,
      g: body.g,
      attempt,
      point,
      clientKey,
      bodyHash,
    });
    const x = p256.getSharedSecret(this.#session.secretKey, clientKey).slice(1);
    if (this.#suite === 'B')
      return createHash('sha256')
        .update(x)
        .update(Uint8Array.of(0, 0, 0, 1))
        .update(digest)
        .digest();
    const cipher = createCipheriv('aes-256-cbc', x, Buffer.alloc(16)).setAutoPadding(false);
    return Buffer.concat([cipher.update(digest), cipher.final()]);
  }

  #seal(key: Uint8Array, secret: Uint8Array): Uint8Array {
    const cipher = createCipheriv('id-aes256-wrap', key, WRAP_IV);
    return Buffer.concat([cipher.update(secret), cipher.final()]);
  }

  #unseal(key: Uint8Array, sealed: Uint8Array): Uint8Array {
    const decipher = createDecipheriv('id-aes256-wrap', key, WRAP_IV);
    try {
      return Buffer.concat([decipher.update(sealed), decipher.final()]);
    } catch (cause) {
      throw new VaultError('SEAL_REFUSED', 'does not open', { cause });
    }
  }
}

const WRAP_IV = Buffer.from('a6a6a6a6a6a6a6a6', 'hex'); // RFC 3394 §2.2.3.1
