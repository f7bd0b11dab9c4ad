import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import type { TokenIdentity } from '../../daemon/token/port.ts';

/** Where and when the figures were measured. */
export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly token: string;
  readonly etcd: string;
  /** Processes that wanted a core in the minute before: what else ran disturbs every figure. */
  readonly loadBefore: number;
}

export function describeMachine({ manufacturer, model, firmware }: TokenIdentity): Machine {
  const [cpu] = cpus();
  const [etcd = ''] = execFileSync('etcd', ['--version'], { encoding: 'utf8' }).split('\n');
  return {
    date: new Date().toISOString(),
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    token: `${manufacturer} ${model} ${firmware}`,
    etcd: etcd.replace('etcd Version: ', ''),
    loadBefore: loadavg()[0] as number,
  };
}
