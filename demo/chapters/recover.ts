import { isVaultError } from '../../primitives/errors.ts';
import { check, failureOf } from '../narrator.ts';
import { RECORD, type Story } from '../story.ts';

/** A typing error costs one attempt; the right code opens the backup and makes every attempt good again. */
export async function recoverAfterOneMistake(story: Story): Promise<void> {
  const { narrator } = story;
  const error = await failureOf(story.asNewApp(({ vault }) => vault.recover({ recordId: RECORD, code: story.wrongCode() })));
  check(isVaultError(error, 'WRONG_CODE'), `a wrong code is told as such, not as ${String(error)}`);
  check(error.details.attemptsUsed === 1, 'one attempt is used');
  narrator.say(`Tried a wrong code. ${await story.attemptsLeft()}`);

  const { renewal } = await story.recoverOnNewDevice();
  check(renewal.state === 'renewed', 'the record is enrolled again after the recovery');
  narrator.say(`Recovered the key with the code on a new device, decrypted: byte for byte the same. ${await story.attemptsLeft()}`);
}

/** Any minority of replicas may be dead. */
export async function recoverWithoutOneReplica(story: Story): Promise<void> {
  const { narrator, fleet } = story;
  const { process } = fleet.replica(2);
  await process.kill();
  const { renewal } = await story.recoverOnNewDevice();
  // Enrolling again now would leave a share less than before, which takes an explicit word.
  check(renewal.state === 'failed', 'no share is given up silently');
  narrator.say(`Killed replica 2. Recovered again: byte for byte the same. ${await story.attemptsLeft()}`);
  await process.start();
  narrator.say('Started replica 2 again.');
}

/** So may any minority of etcd, its leader included. */
export async function recoverWithoutOneEtcdMember(story: Story): Promise<void> {
  const { narrator, fleet } = story;
  const leader = await fleet.etcd.leader();
  await leader.kill();
  const { renewal } = await story.recoverOnNewDevice();
  check(renewal.state === 'renewed', 'the record is enrolled again after the recovery');
  narrator.say(`Killed ${leader.name}, the leader. Recovered again: byte for byte the same. ${await story.attemptsLeft()}`);
  await leader.start();
  narrator.say(`Started ${leader.name} again.`);
}
