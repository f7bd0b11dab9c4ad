import { createHmac, randomBytes } from 'node:crypto';
import type { Millis } from '../../primitives/brand.ts';
import { type Bytes, constantTimeEqual } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { VaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { SECRET_NAME_LENGTH } from '../../protocol/offer.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { type OfferFields, seedTranscript, type TicketFields, ticketTranscript } from '../../protocol/transcripts.ts';

/** How long tickets are made with one secret. No ticket may live longer: no more than two secrets are ever kept. */
export const SECRET_LIFE: Millis = 60 * 60 * 1000;

interface TicketSecret {
  /** Random, and no secret. */
  readonly name: Bytes;
  /** 32 bytes. */
  readonly bytes: SecretBytes;
  /** Of the monotonic clock: when the last ticket is made with it. */
  readonly usedUntil: Millis;
}

/**
 * What seeds of generations are made of, beside what their tickets say. It is in this memory alone: a ticket of before a restart is worth
 * nothing, and no recorded ticket is once its secret is wiped. The monotonic clock decides, so that no setting of the other one delays that.
 */
export class TicketSecrets {
  readonly #clock: Clock;
  readonly #ticketLife: Millis;
  /** The present one first, then the one before, while tickets of it are good. */
  #secrets: TicketSecret[];

  constructor(clock: Clock, ticketLife: Millis) {
    this.#clock = clock;
    this.#ticketLife = ticketLife;
    this.#secrets = [this.#fresh()];
  }

  /** 32 bytes, for an offer that is made now. The caller wipes them. */
  seed(ticket: TicketFields): SecretBytes {
    this.turn();
    const [present] = this.#secrets;
    if (!present) throw new VaultError('BUSY', 'This replica is stopping; send the same bytes again.');
    return mac(present.bytes, seedTranscript(ticket));
  }

  /**
   * The seed of an offer that has this tag, which the caller wipes, and the name of the secret that it was made with. Throws TICKET_REFUSED
   * where this replica made none such since it started, or so long ago that its ticket has expired.
   */
  seedOf(offer: OfferFields, tag: Uint8Array): { readonly seed: SecretBytes; readonly madeWith: Bytes } {
    this.turn();
    for (const { name, bytes } of this.#secrets) {
      const seed = mac(bytes, seedTranscript(offer));
      const expected = mac(seed, ticketTranscript(offer));
      const isIt = constantTimeEqual(expected.expose(), tag);
      expected.wipe();
      if (isIt) return { seed, madeWith: name };
      seed.wipe();
    }
    throw new VaultError(
      'TICKET_REFUSED',
      'The ticket is not of this replica since it started, or not for these values; begin the enrolment again with a fresh g.',
    );
  }

  /** The name of the newest secret: once that is wiped, no seed of an earlier offer can be made again. */
  newest(): Bytes {
    this.turn();
    return this.#secrets[0]?.name ?? new Uint8Array(SECRET_NAME_LENGTH);
  }

  /** Whether seeds that were made with it can be made again. */
  keeps(name: Uint8Array): boolean {
    this.turn();
    return this.#secrets.some((secret) => constantTimeEqual(secret.name, name));
  }

  /** Does what is due, and says how long nothing will be. To be called again then, whether tickets are asked for or not. */
  turn(): Millis {
    const now = this.#clock.monotonic();
    const [present] = this.#secrets;
    if (!present) return SECRET_LIFE;
    if (present.usedUntil <= now) this.#secrets.unshift(this.#fresh());
    const isKept = ({ usedUntil }: TicketSecret) => usedUntil + this.#ticketLife > now;
    for (const secret of this.#secrets) if (!isKept(secret)) secret.bytes.wipe();
    this.#secrets = this.#secrets.filter(isKept);
    const due = this.#secrets.map(({ usedUntil }, i) => (i === 0 ? usedUntil : usedUntil + this.#ticketLife));
    return Math.min(...due) - now;
  }

  /** For the end: no ticket is made or taken after it. */
  wipe(): void {
    for (const { bytes } of this.#secrets) bytes.wipe();
    this.#secrets = [];
  }

  #fresh(): TicketSecret {
    const random = randomBytes(32);
    const bytes = new SecretBytes(random);
    random.fill(0);
    return { name: new Uint8Array(randomBytes(SECRET_NAME_LENGTH)), bytes, usedUntil: this.#clock.monotonic() + SECRET_LIFE };
  }
}

/** HMAC-SHA-256 over a transcript's digest. */
function mac(key: SecretBytes, transcript: Transcript): SecretBytes {
  const digest = createHmac('sha256', key.expose()).update(transcript.digest).digest();
  const bytes = new SecretBytes(digest);
  digest.fill(0);
  return bytes;
}
