import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../primitives/package-root.ts';
import { DevFleet } from '../test/harness/dev-fleet.ts';
import type { ManagedProcess } from '../test/harness/managed-process.ts';
import { keepEverything } from '../test/harness/reaper.ts';
import { enrolAndLose } from './chapters/enrol-and-lose.ts';
import { waitForErasure } from './chapters/erasure.ts';
import { guessToTheLimit } from './chapters/guess.ts';
import { stopThePhisher } from './chapters/phished.ts';
import { recoverAfterOneMistake, recoverWithoutOneEtcdMember, recoverWithoutOneReplica } from './chapters/recover.ts';
import { Narrator, perform } from './narrator.ts';
import { Story } from './story.ts';

// The main job, on this machine: software tokens, real daemons, a real etcd. Exits with 0 only if every step held.

// A day and a minute in life.
const GRACE = 3000;
const SWEEP = 500;

async function tell(fleet: DevFleet, narrator: Narrator): Promise<void> {
  const story = new Story(fleet, narrator);
  await enrolAndLose(story);
  await recoverAfterOneMistake(story);
  await recoverWithoutOneReplica(story);
  await recoverWithoutOneEtcdMember(story);
  await stopThePhisher(story);
  await guessToTheLimit(story);
  await waitForErasure(story, GRACE, SWEEP);
}

const processesOf = (fleet: DevFleet): ManagedProcess[] => [...fleet.etcd.members, ...fleet.replicas.map(({ process }) => process)];

/** Where to look when a step failed: the files are gone by then. */
function printLogs(fleet: DevFleet): void {
  for (const process of processesOf(fleet)) console.error(`--- ${process.name}\n${process.logTail(8)}`);
}

/** Leaves the fleet running, and says how to use it and how to end it. */
function keep(fleet: DevFleet): void {
  const stopper = keepEverything();
  for (const process of processesOf(fleet)) process.unref();
  const bkvctl = `node ${relative(process.cwd(), join(packageRoot, 'dist/cli/main.js'))}`;
  console.log(`
The fleet is still running, in ${fleet.directory}. To talk to it:

  export BKV_CLIENT=${fleet.clientFile}
  ${bkvctl} fleet status
  ${bkvctl} enroll carol --new-key carol.key --generate-code
  ${bkvctl} describe carol
  ${bkvctl} recover carol --out carol.recovered
  cmp carol.key carol.recovered

To stop it and remove its files:

  kill ${stopper}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
  const narrator = new Narrator();
  const fleet = await DevFleet.start({ fleet: 'demo', tenant: 'demo', settings: { erase_grace_ms: GRACE, sweep_interval_ms: SWEEP } });
  narrator.say('Started 3 etcd members and 3 replicas, each with its own SoftHSM2 token, certificate and process.');
  try {
    await tell(fleet, narrator);
  } catch (error) {
    printLogs(fleet);
    await fleet.stop();
    throw error;
  }
  if (values.keep) return keep(fleet);
  await fleet.stop();
  narrator.say('Stopped everything and removed every file. Every step held.');
}

await perform('demo', main);
