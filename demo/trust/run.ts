import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { packageRoot } from '../../primitives/package-root.ts';

// The story is told with the programs that people use, each in a process of its own: a token's module reads its configuration once.

const programs = { bkvctl: 'dist/cli/main.js', 'bkv-witness': 'dist/witness/main.js' } as const;
type Program = keyof typeof programs;
type Environment = Readonly<Record<string, string>>;

/** Runs a command and returns its one JSON document. Throws what it complained of. */
export async function run(program: Program, args: readonly string[], environment: Environment = {}): Promise<Record<string, unknown>> {
  const all = [join(packageRoot, programs[program]), '--json', ...args];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, all, { env: { ...process.env, ...environment }, maxBuffer: 1 << 24 });
    return JSON.parse(stdout) as Record<string, unknown>;
  } catch (cause) {
    const { stdout = '', message } = cause as Error & { stdout?: string };
    throw new Error(`${program} ${args.slice(0, 3).join(' ')}: ${stdout || message}`, { cause });
  }
}

/** Starts `bkv-witness serve` on a free port. Stop it with `kill`. */
export async function serve(directory: string, environment: Environment): Promise<{ url: string; process: ChildProcess }> {
  const args = [join(packageRoot, programs['bkv-witness']), '--dir', directory, 'serve', '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const url = /http:\S+/.exec(line)?.[0];
  if (url === undefined) throw new Error(`The witness does not serve: ${line}`);
  return { url, process: child };
}
