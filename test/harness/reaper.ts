import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../primitives/package-root.ts';

// An exit handler does not run when the process is killed; a pipe is closed by the kernel whatever happens.

let reaper: ChildProcess | undefined;

function tell(line: string): void {
  if (!reaper) {
    // Detached: a Ctrl-C at the terminal must not reach it before it has done its work.
    reaper = spawn('/bin/sh', [join(packageRoot, 'test/harness/reaper.sh')], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    reaper.unref();
    (reaper.stdin as Socket).unref();
  }
  reaper.stdin?.write(`${line}\n`);
}

/** Kills this process, at the latest, when ours ends. */
export function reapProcess(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  tell(`process ${pid}`);
  child.once('exit', () => tell(`gone ${pid}`));
}

/** A new directory, removed at the latest when this process ends. */
export function scratchDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `bkv-${name}-`));
  tell(`directory ${directory}`);
  return directory;
}

/** From now on everything outlives this process. Returns the process to send SIGTERM to, which stops and removes it all. */
export function keepEverything(): number | undefined {
  tell('keep');
  return reaper?.pid;
}
