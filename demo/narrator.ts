import { exitWhenIdle } from '../primitives/exit.ts';

/** One plain line for each thing that was shown. */
export class Narrator {
  readonly #begun = performance.now();

  say(text: string): void {
    const seconds = ((performance.now() - this.#begun) / 1000).toFixed(1).padStart(5);
    console.log(`${seconds} s  ${text}`);
  }
}

/** What the demo claims, it checks. */
export function check(holds: boolean, claim: string): asserts holds {
  if (!holds) throw new Error(`This did not hold: ${claim}`);
}

/** The error with which `work` fails; it must. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error('This did not hold: the call is refused');
}

/** Runs a demo as a program: what did not hold is told in one line, and the exit code is 1. */
export async function perform(name: string, demo: () => Promise<void>): Promise<void> {
  exitWhenIdle();
  try {
    await demo();
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
