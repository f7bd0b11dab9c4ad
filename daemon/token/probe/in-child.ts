import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { Millis } from '../../../primitives/brand.ts';
import { VaultError } from '../../../primitives/errors.ts';
import { packageRoot } from '../../../primitives/package-root.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import type { Refused } from '../pkcs11/failure.ts';
import type { Answers, FromChild, Job, Place, Step, StepResult } from './messages.ts';

/** How a job ended. */
export type End<Kind extends Job['kind']> =
  | { readonly kind: 'over'; readonly answer: Answers[Kind] }
  | { readonly kind: 'failed'; readonly error: VaultError; readonly refused: Refused | undefined }
  /** The process did, in the middle of `step` if there was one. `how` goes on from “the module”. */
  | { readonly kind: 'died'; readonly how: string; readonly step: Step | undefined };

interface Asked<Kind extends Job['kind']> {
  readonly place: Place;
  readonly pin?: SecretBytes;
  readonly job: Job & { readonly kind: Kind };
  /** A job, or a step of one, that takes longer hangs. */
  readonly patience: Millis;
  readonly onDone?: (step: Step, result: StepResult) => void;
}

// Modules run in a compiled program alone, as in pool/thread.ts.
const ENTRY = join(packageRoot, 'dist/daemon/token/probe/child.js');

/** Runs one job in a process of its own, whatever the module does to that. The PIN goes through its channel; nothing of it is printed. */
export function inChild<Kind extends Job['kind']>({ place, pin, job, patience, onDone }: Asked<Kind>): Promise<End<Kind>> {
  const child = fork(ENTRY, [], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  return new Promise((resolve) => {
    let [step, end, hangs]: [Step | undefined, End<Kind> | undefined, boolean] = [undefined, undefined, false];
    const watch = setTimeout(() => {
      hangs = true;
      child.kill('SIGKILL');
    }, patience);
    child.on('message', (message: FromChild) => {
      watch.refresh();
      switch (message.kind) {
        case 'began':
          step = message.step;
          break;
        case 'done':
          if (step) onDone?.(step, message.result);
          step = undefined;
          break;
        case 'over':
          end = { kind: 'over', answer: message.answer as Answers[Kind] };
          break;
        case 'failed':
          end = { kind: 'failed', error: new VaultError(message.code, message.message), refused: message.refused };
      }
    });
    child.on('error', () => {}); // its exit says the same
    child.on('close', (code, signal) => {
      clearTimeout(watch);
      const how = hangs ? `does not answer within ${patience / 1000} s` : `ended the process (${signal ?? `exit code ${code}`})`;
      resolve(end ?? { kind: 'died', how, step });
    });
    child.send({ place, job, ...(pin === undefined ? {} : { pin: pin.expose() }) }, () => {});
  });
}
