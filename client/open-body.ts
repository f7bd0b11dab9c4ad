import { type Bytes, constantTimeEqual, xor } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import type { Share as BodyShare } from '../proto/gen/backupvault/v1/record_pb.ts';
import { type Body, shareOf } from '../protocol/body.ts';
import { commitTranscript } from '../protocol/transcripts.ts';
import { maskKey, payloadKey } from './derive.ts';
import { type Blinded, finalize } from './oprf.ts';
import { decryptPayload } from './payload.ts';
import type { Answer } from './receipts.ts';
import { choices, combineShares, type Share } from './shares.ts';

// A hostile replica may answer with anything that is a point, and nothing shows it until shares are combined. So every choice of
// t answers is tried. None is left out once one fits: how long it takes says nothing of who answered truly.

/** s, if the code was right and t answers are true. */
export async function findSecret(body: Body, answers: readonly Answer[], blinded: Blinded): Promise<SecretBytes | undefined> {
  const shares = answers.map(({ index, evaluated }): Share => {
    const { x, mask } = shareOf(body, index) as BodyShare;
    return { x, y: xor(mask, maskKey(finalize(blinded, evaluated), body.rid, body.g, index)) };
  });
  let found: SecretBytes | undefined;
  for (const choice of choices(shares, body.threshold)) {
    const s = await combineShares(choice);
    if (constantTimeEqual(commitTranscript(s, body).digest, body.commit)) found = new SecretBytes(s);
    s.fill(0);
  }
  return found;
}

/** One replica's share of R. */
export interface ReleasedShare {
  readonly index: number;
  readonly y: Bytes;
}

/** The backup key, if t of the shares are true. */
export async function openPayload(body: Body, s: SecretBytes, released: readonly ReleasedShare[]): Promise<SecretBytes | undefined> {
  const shares = released.map(({ index, y }): Share => ({ x: (shareOf(body, index) as BodyShare).x, y }));
  let backupKey: SecretBytes | undefined;
  for (const choice of choices(shares, body.threshold)) {
    const key = payloadKey(s.expose(), await combineShares(choice), body.rid, body.g);
    backupKey = (await decryptPayload(key, body)) ?? backupKey;
    key.fill(0);
  }
  return backupKey;
}
