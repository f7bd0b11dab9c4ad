import { join, relative } from 'node:path';
import { packageRoot } from '../primitives/package-root.ts';
import type { DevFleet } from '../test/harness/dev-fleet.ts';
import { keepEverything } from '../test/harness/reaper.ts';

/** Leaves the fleet running, and says how to use it and how to end it. */
export function keep(fleet: DevFleet): void {
  const stopper = keepEverything();
  for (const process of [...fleet.etcd.members, ...fleet.replicas.map(({ process }) => process)]) process.unref();
  const bkvctl = `node ${relative(process.cwd(), join(packageRoot, 'dist/cli/main.js'))}`;
  console.log(`
The fleet is still running, in ${fleet.directory}. To talk to it:

  export BKV_CLIENT=${fleet.clientFile}
  ${bkvctl} fleet status
  ${bkvctl} enroll bob --new-key bob.key --generate-code
  ${bkvctl} describe bob
  ${bkvctl} recover bob --out bob.recovered
  cmp bob.key bob.recovered

To stop it and remove its files:

  kill ${stopper}`);
}
