import { type Bytes, constantTimeEqual, xor } from '../primitives/bytes.ts';
import { choices } from '../primitives/choices.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import type { Share as BodyShare } from '../proto/gen/backupvault/v1/record_pb.ts';
import { type Body, shareOf } from '../protocol/body.ts';
import { payloadKey, proofKey, releaseMaskKey } from './derive.ts';
import { type Blinded, finalize } from './oprf.ts';
import { decryptPayload } from './payload.ts';
import type { Answer } from './receipts.ts';
import { combineShares, type Share } from './shares.ts';
import { type Argon2id, maskKey } from './stretch.ts';

// A hostile replica may answer with anything that is on the curve, and nothing shows it until shares are combined. So every choice of
// t answers is tried. None is left out once one fits: how long it takes says nothing of who answered truly.

/** Shares of s, of those whose answer is true. `keys` is by index, and keeps what was stretched: no output is stretched twice. */
export function unmaskShares(
  body: Body,
  answers: readonly Pick<Answer, 'index' | 'evaluated'>[],
  { blinded, argon2id, keys }: { readonly blinded: Blinded; readonly argon2id: Argon2id; readonly keys: Map<number, Bytes> },
): Promise<Share[]> {
  const { rid, g, shares } = body;
  const unmask = async ({ index, evaluated }: Pick<Answer, 'index' | 'evaluated'>): Promise<Share> => {
    const { x, mask } = shareIn(body, index);
    let key = keys.get(index);
    if (key === undefined) {
      const output = finalize(blinded, evaluated);
      key = await maskKey(output, { rid, g, index, holders: shares.length }, argon2id);
      output.fill(0);
      keys.set(index, key);
    }
    return { x, y: xor(mask, key) };
  };
  return Promise.all(answers.map(unmask)); // an app's Argon2id may have several threads
}

/** s, if the code was right and t shares are true: A in the body tells. Wipes the shares. */
export const findSecret = (body: Body, shares: readonly Share[]): Promise<SecretBytes | undefined> =>
  tryChoices(shares, body, async (s) => (constantTimeEqual(proofKey(s, body.rid, body.g), body.proofKey) ? new SecretBytes(s) : undefined));

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
