import type { Clock } from '../../primitives/clock.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { formatSignature, signaturesOf } from '../log/note.ts';
import type { NoteKey } from '../log/note-key.ts';
import { cosign, isSigned, type Sign } from '../log/note-signature.ts';
import { verifyConsistency } from '../log/tree.ts';
import { type AddCheckpoint, parseAddCheckpoint } from './add-checkpoint.ts';
import type { CosignedCheckpoints } from './cosigned-checkpoints.ts';
import type { CosignerMemory } from './memory.ts';

export interface Answer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly type: 'text/plain; charset=utf-8' | 'text/x.tlog.size';
  readonly body: string;
}

export interface CosignerOptions {
  /** Cosigns under this name: as type 0x04, unless it is one of type 0x06. */
  readonly key: NoteKey;
  readonly sign: Sign;
  readonly memory: CosignerMemory;
  readonly checkpoints: CosignedCheckpoints;
  readonly clock: Pick<Clock, 'now'>;
}

/** Signs that a tree of another log continues the last one it saw (c2sp.org/tlog-witness). Of two trees that fork it signs one at most. */
export class Cosigner {
  readonly #options: CosignerOptions;

  constructor(options: CosignerOptions) {
    this.#options = options;
  }

  /** The answer to a request's body. Throws LOG_MISSING, LOG_CORRUPT, and what a token throws. */
  add(body: Uint8Array): Answer {
    let request: AddCheckpoint;
    try {
      request = parseAddCheckpoint(body);
    } catch (error) {
      if (!isVaultError(error, 'MALFORMED')) throw error;
      return text(400, error.message);
    }
    for (;;) {
      const answer = this.#try(request);
      if (answer !== 'again') return answer;
    }
  }

  #try({ oldSize, proof, note, checkpoint }: AddCheckpoint): Answer | 'again' {
    const { key, sign, memory, checkpoints, clock } = this.#options;
    const before = memory.read(checkpoint.origin);
    if (before === undefined) return text(404, `The log ${checkpoint.origin} is not followed here.`);
    if (!isSigned(note, before.logKey)) return text(403, 'The checkpoint is not signed by the log’s key.');
    const { size, root } = checkpoint;
    if (oldSize > size) return text(400, 'The old size is larger than the new one.');
    if (oldSize !== before.size) return conflict(before.size);
    // Also where the same size has another root.
    if (!verifyConsistency({ oldSize, oldRoot: before.root, size, root, proof }))
      return text(422, 'The tree does not continue the last one.');
    // Before the signature exists; whoever lost the race looks again at what the other remembered.
    if (size > before.size && !memory.raise(before, size, root)) return 'again';
    const cosignature = cosign(note.text, key, Math.floor(clock.now() / 1000), sign);
    // Not in the place of a larger tree that another process cosigned meanwhile.
    if (memory.read(checkpoint.origin)?.size === size)
      checkpoints.show({ text: note.text, signatures: [...signaturesOf(note, before.logKey), cosignature] });
    return text(200, formatSignature(cosignature));
  }
}

const conflict = (size: number): Answer => ({ status: 409, type: 'text/x.tlog.size', body: `${size}\n` });

const text = (status: Answer['status'], body: string): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: body.endsWith('\n') ? body : `${body}\n`,
});
