import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../primitives/exit.ts';
import { DevFleet } from '../test/harness/dev-fleet.ts';
import { enrolAndLose } from './chapters/enrol-and-lose.ts';
import { waitForErasure } from './chapters/erasure.ts';
import { guessToTheLimit } from './chapters/guess.ts';
import { recoverAfterOneMistake, recoverWithoutOneEtcdMember, recoverWithoutOneReplica } from './chapters/recover.ts';
import { keep } from './keep.ts';
import { Narrator } from './narrator.ts';
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
  await guessToTheLimit(story);
  await waitForErasure(story, GRACE, SWEEP);
}

/** Where to look when a step failed: the files are gone by then. */
function printLogs(fleet: DevFleet): void {
  for (const process of [...fleet.etcd.members, ...fleet.replicas.map((replica) => replica.process)])
    console.error(`--- ${process.name}\n${process.logTail(8)}`);
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

exitWhenIdle();
try {
  await main();
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
