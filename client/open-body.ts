import { type Bytes, constantTimeEqual, xor } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import type { Share as BodyShare } from '../proto/gen/backupvault/v1/record_pb.ts';
import { type Body, shareOf } from '../protocol/body.ts';
import { maskKey, payloadKey, proofKey, releaseMaskKey } from './derive.ts';
import { type Blinded, finalize } from './oprf.ts';
import { decryptPayload } from './payload.ts';
import type { Answer } from './receipts.ts';
import { choices, combineShares, type Share } from './shares.ts';

// A hostile replica may answer with anything that is on the curve, and nothing shows it until shares are combined. So every choice of
// t answers is tried. None is left out once one fits: how long it takes says nothing of who answered truly.

/** s, if the code was right and t answers are true: A in the body tells. */
export function findSecret(
  body: Body,
  answers: readonly Pick<Answer, 'index' | 'evaluated'>[],
  blinded: Blinded,
): Promise<SecretBytes | undefined> {
  const { rid, g } = body;
  const shares = answers.map(({ index, evaluated }): Share => {
    const { x, mask } = shareIn(body, index);
    return { x, y: xor(mask, maskKey(finalize(blinded, evaluated), rid, g, index)) };
  });
  return tryChoices(shares, body, async (s) => (constantTimeEqual(proofKey(s, rid, g), body.proofKey) ? new SecretBytes(s) : undefined));
}

/** What one replica released, unblinded: D_i, if it released truly. */
export interface Released {
  readonly index: number;
  readonly d: Bytes;
}

/** The backup key, if t replicas released truly: the payload tells. */
export function openPayload(body: Body, s: SecretBytes, released: readonly Released[]): Promise<SecretBytes | undefined> {
  const { rid, g } = body;
  const shares = released.map(({ index, d }): Share => {
    const { x, releaseMask } = shareIn(body, index);
    return { x, y: xor(releaseMask, releaseMaskKey(d, rid, g, index)) };
  });
  return tryChoices(shares, body, async (r) => {
    const key = payloadKey(s.expose(), r, rid, g);
    const backupKey = await decryptPayload(key, body);
    key.fill(0);
    return backupKey;
  });
}

/** What `open` makes of the last combination that it can open. Wipes the shares. */
async function tryChoices(shares: readonly Share[], { threshold }: Body, open: (combined: Bytes) => Promise<SecretBytes | undefined>) {
  let found: SecretBytes | undefined;
  for (const choice of choices(shares, threshold)) {
    const combined = await combineShares(choice);
    found = (await open(combined)) ?? found;
    combined.fill(0);
  }
  for (const { y } of shares) y.fill(0);
  return found;
}

/** The share of a holder. */
const shareIn = (body: Body, index: number) => shareOf(body, index) as BodyShare;
