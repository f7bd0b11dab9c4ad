import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { VaultError } from '../primitives/errors.ts';
import { readInput } from './arguments.ts';

/**
 * A recovery code, from the file named ("-": standard input), else from the terminal without echo, else from standard input.
 * Never from the arguments: every user of a machine can read those. `twice` asks again, for a code that is being chosen.
 */
export async function readCode(file: string | undefined, twice: boolean): Promise<string> {
  if (file !== undefined && file !== '-') return firstLine(readInput(file, 'the code file ').toString('utf8'));
  if (file === '-' || !process.stdin.isTTY) return firstLine(await text(process.stdin));
  const code = await ask('Recovery code: ');
  if (twice && (await ask('The same again: ')) !== code) throw rejected('The two codes differ; nothing was sent.');
  return code;
}

function firstLine(content: string): string {
  const [line = '', ...rest] = content.split(/\r?\n/);
  if (line === '' || rest.some((other) => other !== '')) throw rejected('A code is one line; nothing was sent.');
  return line;
}

async function ask(prompt: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  process.stderr.write(prompt);
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.question('').then(resolve, reject);
      lines.once('SIGINT', () => {
        lines.close(); // gives the terminal its echo back
        process.kill(process.pid, 'SIGINT');
      });
      lines.once('close', () => reject(rejected('No code was given; nothing was sent.')));
    });
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

const rejected = (message: string) => new VaultError('CODE_REJECTED', message);
