import { join } from 'node:path';
import { loadConfig } from '../../daemon/config.ts';
import { EXIT } from '../../daemon/exit-codes.ts';
import { loadClientFile } from '../../fleet/client-file.ts';
import type { ReplicaPlace } from '../../fleet/produce/fleet-plan.ts';
import { probeReplica } from '../../fleet/replica-probe.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { ManagedProcess } from './managed-process.ts';

export interface Launch {
  /** The compiled daemon; that in dist/ unless told. */
  readonly daemon?: string;
  /** Read at each start. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A replica as an operator runs it: the built daemon, in a process of its own, with its own token. Not started yet. */
export function replicaProcess(place: ReplicaPlace, clientFile: string, launch: Launch = {}): ManagedProcess {
  const { tls } = loadClientFile(clientFile);
  const address = loadConfig(place.config).listen.frontend.replace('127.0.0.1', 'localhost');
  return new ManagedProcess({
    name: `replica-${place.index}`,
    program: process.execPath,
    args: [launch.daemon ?? join(packageRoot, 'dist/daemon/main.js'), '--config', place.config],
    env: () => ({ ...launch.env, SOFTHSM2_CONF: join(place.directory, 'softhsm2.conf') }),
    logFile: join(place.directory, 'log'),
    temporary: EXIT.unavailable,
    ready: async () => (await probeReplica(address, tls)).health === 'SERVING',
    explain: async () => {
      const { health, problem } = await probeReplica(address, tls);
      return `${health}${problem ? `: ${problem}` : ''}`;
    },
  });
}
