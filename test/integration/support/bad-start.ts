import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Config } from '../../../daemon/config.ts';
import type { ReplicaPlace } from '../../../fleet/produce/fleet-plan.ts';
import type { Millis } from '../../../primitives/brand.ts';
import { packageRoot } from '../../../primitives/package-root.ts';
import { reapProcess } from '../../harness/reaper.ts';

export interface Ended {
  readonly exitCode: number | null;
  readonly stderr: string;
}

const HUNG: Millis = 120_000;

/** Runs the built daemon until it ends. One that hangs is killed, and its exit code is null. */
export function runDaemon(args: readonly string[], softHsmConf: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [join(packageRoot, 'dist/daemon/main.js'), ...args], {
    env: { ...process.env, SOFTHSM2_CONF: softHsmConf, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  reapProcess(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), HUNG);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => {
      clearTimeout(timer);
      resolve({ exitCode, stderr });
    });
  });
}

export type Change = (config: Config) => void;

/** Runs a replica with a changed configuration. */
export function runWith(place: ReplicaPlace, change: Change, env?: Readonly<Record<string, string>>): Promise<Ended> {
  const config = parse(readFileSync(place.config, 'utf8')) as Config;
  change(config);
  const file = join(place.directory, `config-${process.pid}-${++written}.yaml`); // beside the other: paths in it are relative
  writeFileSync(file, stringify(config));
  return runDaemon(['--config', file], join(place.directory, 'softhsm2.conf'), env);
}

let written = 0;
