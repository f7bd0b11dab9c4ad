import type { Millis } from '../../primitives/brand.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { parseDecimal } from '../log/checkpoint.ts';
import { type NoteSignature, parseSignatures, signaturesOf } from '../log/note.ts';
import type { NoteKey } from '../log/note-key.ts';
import { cosignedAt } from '../log/note-signature.ts';
import { readUpTo } from '../log/read-up-to.ts';
import { makeConsistencyProof } from '../log/tree.ts';
import { formatAddCheckpoint } from './add-checkpoint.ts';
import type { Draft } from './published-log.ts';

/** Another witness, that cosigns our checkpoints. */
export interface CosignerPlace {
  /** Type 0x04 or 0x06. */
  readonly key: NoteKey;
  /** Where its `add-checkpoint` is. */
  readonly url: string;
}

export interface Collected {
  readonly cosignatures: readonly NoteSignature[];
  /** Who did not cosign, and why. */
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
}

const DEADLINE: Millis = 10_000;
/** Of an answer. A cosignature with ML-DSA-44 takes some 3300, and there may be several. */
const BYTES_MOST = 64 * 1024;

/**
 * Asks every cosigner at once. One that does not answer is missing, and that is all. One that knows another tree is an alarm: throws
 * LOG_CORRUPT, and the draft must not be published, since a log that was restored from an old copy would sign a fork.
 */
export async function collectCosignatures(draft: Draft, places: readonly CosignerPlace[]): Promise<Collected> {
  const answers = await Promise.all(
    places.map(async (place) => {
      try {
        return { place, cosignatures: [await cosignatureOf(draft, place)] };
      } catch (error) {
        if (!isVaultError(error) || error.code === 'LOG_CORRUPT') throw error;
        return { place, reason: error.message };
      }
    }),
  );
  return {
    cosignatures: answers.flatMap(({ cosignatures = [] }) => cosignatures),
    missing: answers.flatMap(({ place, reason }) => (reason === undefined ? [] : [{ name: place.key.name, reason }])),
  };
}

async function cosignatureOf(draft: Draft, place: CosignerPlace): Promise<NoteSignature> {
  const { size } = draft.checkpoint;
  let oldSize = draft.published.size;
  let answer = await post(draft, oldSize, place);
  if (answer.status === 409) {
    oldSize = parseDecimal(answer.body.replace(/\n$/, ''), 'The size that the cosigner answered');
    if (oldSize > size) throw corrupt(place, `knows a tree of ${oldSize} entries, and here are ${size}`);
    answer = await post(draft, oldSize, place);
  }
  if (answer.status === 422 || (answer.status === 409 && oldSize === size))
    throw corrupt(place, `knows another tree of ${oldSize} entries`);
  if (answer.status !== 200) throw unavailable(place, `answers ${answer.status}: ${answer.body.slice(0, 200).trim()}`);
  // One, and the latest, of however many: a note with too many signatures could not be read again.
  const answered = { text: draft.note.text, signatures: parseSignatures(answer.body) };
  const time = cosignedAt(answered, place.key);
  const latest = signaturesOf(answered, place.key).find((one) => cosignedAt({ ...answered, signatures: [one] }, place.key) === time);
  if (time === undefined || latest === undefined) throw unavailable(place, 'answers without a right signature of its key');
  return latest;
}

async function post({ note, leaves }: Draft, oldSize: number, place: CosignerPlace): Promise<{ status: number; body: string }> {
  const body = formatAddCheckpoint({ oldSize, proof: makeConsistencyProof(oldSize, leaves), note });
  try {
    const response = await fetch(`${place.url.replace(/\/$/, '')}/add-checkpoint`, {
      method: 'POST',
      body: new Uint8Array(body),
      signal: AbortSignal.timeout(DEADLINE),
      redirect: 'error',
    });
    const answer = await readUpTo(response, BYTES_MOST);
    if (answer.length > BYTES_MOST) throw new Error(`its answer has more than ${BYTES_MOST} bytes`);
    return { status: response.status, body: new TextDecoder().decode(answer) };
  } catch (cause) {
    throw unavailable(place, `does not answer: ${(cause as Error).message}`, cause);
  }
}

const unavailable = ({ key }: CosignerPlace, why: string, cause?: unknown) =>
  new VaultError('LOG_UNAVAILABLE', `The witness ${key.name} ${why}.`, { cause });

const corrupt = ({ key }: CosignerPlace, why: string) =>
  new VaultError('LOG_CORRUPT', `The witness ${key.name} ${why}: this log was rolled back, or changed. Nothing was published.`);
