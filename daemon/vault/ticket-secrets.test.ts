import { createHmac } from 'node:crypto';
import { beforeEach, expect, it, vi } from 'vitest';
import type { Clock } from '../../primitives/clock.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type OfferFields, seedTranscript, ticketTranscript } from '../../protocol/transcripts.ts';
import { SECRET_LIFE, TicketSecrets } from './ticket-secrets.ts';

const TICKET_LIFE = 10 * 60 * 1000;
const fill = (n: number, length = 32) => new Uint8Array(length).fill(n);
const offer: OfferFields = {
  ...{ fleet: 'test', epoch: 1, index: 1, rid: fill(1), g: fill(2, 16), point: fill(3, 33), proofKey: fill(4, 33) },
  ...{ nonce: fill(5, 16), expiresAtMs: 6n, changes: 7n, evaluated: fill(8), releaseElement: fill(9) },
};

let now: number;
let secrets: TicketSecrets;
const clock: Clock = { now: () => 0, monotonic: () => now, sleep: async () => {} };

beforeEach(() => {
  now = 1_000_000;
  secrets = new TicketSecrets(clock, TICKET_LIFE);
});

/** What the token makes of a seed. */
const tagOf = (seed: SecretBytes, of: OfferFields = offer) =>
  createHmac('sha256', seed.expose()).update(ticketTranscript(of).digest).digest();

function issued(of: OfferFields = offer) {
  const seed = secrets.seed(of);
  return { seed: Buffer.from(seed.expose()), tag: tagOf(seed, of) };
}

const take = (tag: Uint8Array, of: OfferFields = offer) => Buffer.from(secrets.seedOf(of, tag).seed.expose());
const refused = expect.objectContaining({ code: 'TICKET_REFUSED' });

it('a seed of 32 bytes is found again by its ticket, and only by that', () => {
  const { seed, tag } = issued();
  expect(seed).toHaveLength(32);
  expect(take(tag)).toEqual(seed);
  expect(() => take(tag.map((byte, i) => (i === 0 ? byte ^ 1 : byte)))).toThrow(refused);
});

it.each<[keyof OfferFields, unknown]>([
  ['fleet', 'other'],
  ['epoch', 2],
  ['index', 2],
  ['rid', fill(11)],
  ['g', fill(11, 16)],
  ['point', fill(11, 33)],
  ['proofKey', fill(11, 33)],
  ['nonce', fill(11, 16)],
  ['expiresAtMs', 11n],
  ['changes', 11n],
])('another %s has another seed', (field, value) => {
  const { seed, tag } = issued();
  const other = { ...offer, [field]: value } as OfferFields;
  expect(issued(other).seed).not.toEqual(seed);
  expect(() => take(tag, other)).toThrow(refused);
});

it.each(['evaluated', 'releaseElement'] as const)('another %s was not offered', (field) => {
  expect(() => take(issued().tag, { ...offer, [field]: fill(11) })).toThrow(refused);
});

it('another process, or this one after a restart, knows nothing of a ticket', () => {
  const { seed, tag } = issued();
  secrets = new TicketSecrets(clock, TICKET_LIFE);
  expect(() => take(tag)).toThrow(refused);
  expect(issued().seed).not.toEqual(seed);
});

it('makes tickets with a new secret each hour, and takes those of the one before until the last of them has expired', () => {
  now += SECRET_LIFE - 1;
  const last = issued();
  now += 1;
  expect(issued().seed).not.toEqual(last.seed);
  now += TICKET_LIFE - 1;
  expect(take(last.tag)).toEqual(last.seed);
  now += 1;
  expect(() => take(last.tag)).toThrow(refused);
});

it('wipes a secret when its time has come, although nobody asks for a ticket', () => {
  const wiped = vi.spyOn(SecretBytes.prototype, 'wipe');
  expect(secrets.turn()).toBe(SECRET_LIFE);
  now += SECRET_LIFE;
  expect(secrets.turn()).toBe(TICKET_LIFE); // until the one before goes
  expect(wiped).not.toHaveBeenCalled();
  now += TICKET_LIFE;
  expect(secrets.turn()).toBe(SECRET_LIFE - TICKET_LIFE);
  expect(wiped).toHaveBeenCalledOnce();
  now += 5 * SECRET_LIFE; // the machine slept
  expect(secrets.turn()).toBe(SECRET_LIFE);
  expect(wiped).toHaveBeenCalledTimes(2);
  vi.restoreAllMocks();
});

it('makes and takes nothing once it is wiped', () => {
  const { tag } = issued();
  secrets.wipe();
  expect(() => take(tag)).toThrow(refused);
  expect(() => secrets.seed(offer)).toThrow(expect.objectContaining({ code: 'BUSY' }));
  secrets.turn();
  expect(() => take(tag)).toThrow(refused);
});

it('is bound by the transcripts of the protocol', () => {
  // A secret of zeros shows the two steps: what the token makes its tag with is HMAC over "seed".
  vi.spyOn(SecretBytes.prototype, 'expose').mockReturnValueOnce(fill(0) as ReturnType<SecretBytes['expose']>);
  const seed = secrets.seed(offer);
  vi.restoreAllMocks();
  expect(Buffer.from(seed.expose())).toEqual(createHmac('sha256', fill(0)).update(seedTranscript(offer).digest).digest());
});
