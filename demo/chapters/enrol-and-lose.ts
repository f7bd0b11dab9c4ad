import { statSync } from 'node:fs';
import { check } from '../narrator.ts';
import { LIMIT, RECORD, type Story } from '../story.ts';

/** A device backs its history up, puts the key into the vault, and is lost. */
export async function enrolAndLose(story: Story): Promise<void> {
  const { narrator, archive } = story;
  const device = story.newDevice();
  const { messages, bytes } = device.write();
  narrator.say(`Made a message history: ${messages} messages, ${megabytes(bytes)}, SQLite.`);
  story.remember(device);

  await device.backUp(archive);
  narrator.say(`Encrypted it with a fresh backup key: ${megabytes(statSync(archive).size)} in the cloud.`);

  const { holders, replicas, threshold } = await story.asNewApp(({ vault }) =>
    vault.enroll({ recordId: RECORD, code: story.code, backupKey: device.backupKey, policy: { limit: LIMIT, coolDownMs: 0 } }),
  );
  check(holders.length === replicas, 'every replica holds a share');
  narrator.say(`Enrolled the key under a recovery code: ${holders.length} of ${replicas} replicas hold a share, ${threshold} are needed.`);

  device.lose();
  narrator.say(`Lost the device: history and key are deleted. ${await story.attemptsLeft()}`);
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
