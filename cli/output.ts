import ora, { type Ora } from 'ora';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import { exitCodeOf, exitCodes, isOpen } from './exit-codes.ts';

type Stream = NodeJS.WritableStream & { readonly columns?: number };

export interface Streams {
  readonly stdout: Stream;
  readonly stderr: Stream;
}

/** What a command says. With --json: one JSON document on stdout, whether it succeeded or failed, and nothing else anywhere. */
export class Output {
  readonly #program: string;
  readonly #json: boolean;
  readonly #streams: Streams;
  #spinner: Ora | undefined;
  /** For the process, once the command is over. */
  exitCode: number = exitCodes.OK;

  constructor(program: string, json: boolean, streams: Streams) {
    this.#program = program;
    this.#json = json;
    this.#streams = streams;
  }

  /** What is being done now; on stderr, so that stdout holds the result alone. */
  step(text: string): void {
    if (this.#json) return;
    const { stderr } = this.#streams;
    // On a terminal that says it has no columns, as some of expect and containers do, ora's spinner would never end.
    this.#spinner ??= ora({ stream: stderr, ...(stderr.columns === 0 ? { isEnabled: false } : {}) });
    this.#spinner.start(`${text} …`);
  }

  /**
   * The command's one result, for machines and for people. With `verdict` the result is bad news, which exit code and message
   * say: for a command whose answer is worth printing all the same.
   */
  result(document: Readonly<Record<string, unknown>>, text: string, verdict?: VaultError): void {
    this.#spinner?.stop();
    if (this.#json) this.#print(verdict ? { ...document, error: errorDocument(verdict) } : document);
    else this.#streams.stdout.write(`${text}\n`);
    if (verdict && !this.#json) this.#complain(verdict);
    this.exitCode = verdict ? exitCodeOf(verdict.code) : exitCodes.OK;
  }

  /** Says why the command failed. */
  failure(thrown: unknown): void {
    this.#spinner?.stop();
    const error = isVaultError(thrown) ? thrown : new VaultError('INTERNAL', `This should not happen: ${(thrown as Error).message}`);
    if (this.#json) this.#print({ error: errorDocument(error) });
    else this.#complain(error);
    // A stack names files and lines, never values.
    if (error.code === 'INTERNAL' && !this.#json) this.#streams.stderr.write(`${(thrown as Error).stack}\n`);
    this.exitCode = exitCodeOf(error.code);
  }

  /** Says what is wrong with the arguments. */
  usage(message: string): void {
    if (this.#json) this.#print({ error: { code: 'USAGE', message } });
    else this.#streams.stderr.write(`${this.#program}: ${message}\nSee ${this.#program} --help.\n`);
    this.exitCode = exitCodes.USAGE;
  }

  #print(document: object): void {
    this.#streams.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
  }

  #complain(error: VaultError): void {
    this.#streams.stderr.write(`${[`${this.#program}: ${error.message} [${error.code}]`, ...sentences(error)].join('\n')}\n`);
  }
}

const errorDocument = ({ code, message, details }: VaultError) => ({ code, message, ...details });

/** The message says what to do; these say what it needs. */
function sentences({ code, details }: VaultError): string[] {
  const { attemptsUsed, attemptsLimit, notBefore, replicasAnswered, replicasNeeded } = details;
  const lines: string[] = [];
  if (attemptsUsed !== undefined && attemptsLimit !== undefined) lines.push(`  ${attempts(attemptsUsed, attemptsLimit)}`);
  if (notBefore !== undefined)
    lines.push(`  ${code === 'HELD' ? 'The hold is over' : 'The next attempt is allowed'} at ${new Date(notBefore).toISOString()}.`);
  if (replicasAnswered !== undefined && replicasNeeded !== undefined && replicasAnswered < replicasNeeded)
    lines.push(`  ${replicasAnswered} replicas answered, ${replicasNeeded} are needed.`);
  // "Send the same bytes again" is beyond a program that ends: a recovery's blind is gone with it.
  if (code === 'HELD')
    lines.push(
      `  Its fingerprint, to compare on the device that approves it: ${details.fingerprint}.`,
      '  Run it again then, with the same --blinds and without --anew: else it costs one more attempt, and begins another hold.',
    );
  else if (isOpen(exitCodeOf(code))) lines.push('  Run the same command again; where it recovers, that may cost one more attempt.');
  return lines;
}

/** "3 of 10 attempts used, 7 left." */
export const attempts = (used: number, limit: number): string => `${used} of ${limit} attempts used, ${Math.max(0, limit - used)} left.`;
