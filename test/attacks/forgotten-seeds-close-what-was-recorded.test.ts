import { expect, test } from 'vitest';
import { payloadKey } from '../../client/derive.ts';
import { decryptPayload } from '../../client/payload.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import type { Body, Ticket } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { FinishEnrollmentRequestSchema } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { type OfferFields, seedTranscript, ticketTranscript } from '../../protocol/transcripts.ts';
import { CODE, WRONG } from '../harness/soft-client.ts';
import { evaluate, guess, makeCandidate } from './attacker.ts';
import { hmac, sha256 } from './consequences.ts';
import { evidenceOf, record } from './evidence.ts';
import { keyUnder, under } from './token-use.ts';

// Erasing is forgetting seeds. The attacker here has every key of all four tokens, recorded all that went between client and vault, has the
// seeds of t−1 replicas, and even knows the code. What is still missing is what only a forgotten seed would give.

const recorded = await record(CODE, WRONG);
const { fleet } = recorded;
const evidence = await evidenceOf(recorded, { tokens: 4, seeds: 2 });
const truth = evaluate(await makeCandidate(CODE), evidence);

const seedOf = (index: number) => fleet.replica(index).stateOf(evidence.body.g).seed;

/** A ticket as it was recorded, with what it was made for. */
function offerOf(index: number): OfferFields & { readonly tag: Uint8Array } {
  const { point, body, tickets } = fleet.lastReceived('finishEnrollment', FinishEnrollmentRequestSchema);
  const { fleet: name, epoch, rid, g, proofKey } = body as Body;
  return { fleet: name, epoch, rid, g, point, proofKey, ...(tickets[index - 1] as Ticket) };
}

/** Which of y's element and D is a product of recorded elements and the code's, under keys and tweaks at hand. */
function computable(index: number): boolean[] {
  const { body, elements } = evidence;
  const { token } = fleet.replica(index);
  const element = under(keyUnder(token, 'oprf', body, seedOf(index)))(truth.element.toBytes()) as Uint8Array;
  const d = under(keyUnder(token, 'release', body, seedOf(index)))(body.releaseBase) as Uint8Array;
  const there = new Set([...elements, ...truth.xs].map(toHex));
  return [element, d].map((x) => there.has(toHex(x)));
}

/** Whether its seed is among what is known, or an HMAC or hash of it, under a token's MAC key or another. */
function isKnown(index: number, more: readonly Uint8Array[] = []): boolean {
  const { everything, open } = evidence;
  const offer = offerOf(index);
  const asked = [seedTranscript(offer).digest, ticketTranscript(offer).digest, offer.tag];
  const known = [...open.map(({ seed }) => seed), ...everything.filter(({ length }) => length >= 16 && length <= 66), ...more];
  const keys = [...fleet.replicas.map(({ token }) => token.macKey), ...known, ...asked];
  const made = [...known, ...asked, ...known.map((one) => sha256(one)), ...keys.flatMap((key) => asked.map((one) => hmac(key, one)))];
  return made.some((value) => constantTimeEqual(hmac(value, ticketTranscript(offer).digest), offer.tag));
}

test.each([3, 4])('what replica %i masked is under nothing that can be computed, once it forgot its seed', (index) => {
  expect(computable(index)).toEqual([false, false]);
  expect(isKnown(index)).toBe(false);
});

test('as it is with a seed, or with the ticket secret of its hour', () => {
  expect(computable(1)).toEqual([true, true]);
  expect(isKnown(1)).toBe(true);
  expect(isKnown(3, [fleet.replica(3).ticketSecret])).toBe(true);
});

test('with one seed more the code opens it', async () => {
  const opensWith = async (seeds: number) => {
    const reached = await evidenceOf(recorded, { tokens: 4, seeds });
    const { secret } = await guess(evaluate(truth, reached), reached);
    const { rid, g } = reached.body;
    return (await decryptPayload(payloadKey(secret, reached.releaseSecret, rid, g), reached.body)) !== undefined;
  };
  expect([await opensWith(2), await opensWith(3)]).toEqual([false, true]);
});
