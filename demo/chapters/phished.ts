import type { HeldAt } from '../../client/locate.ts';
import { makeBackupKey } from '../../client/random-secret.ts';
import type { VaultClient } from '../../client/vault-client.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import type { SecretBytes } from '../../primitives/secret-bytes.ts';
import { check, failureOf } from '../narrator.ts';
import type { Story } from '../story.ts';

const PHISHED = 'bob';
const HOURS = 72;
const policy = { limit: 4, coolDownMs: 0, holdMs: HOURS * 3_600_000 };

/** Somebody has the right code. The record has a hold, and its owner still has a device. */
export async function stopThePhisher(story: Story): Promise<void> {
  const { narrator } = story;
  const backupKey = makeBackupKey();
  const [phished, changed] = [story.wrongCode(), story.wrongCode()]; // of another record than the story's
  await story.asNewApp(({ vault }) => vault.enroll({ recordId: PHISHED, code: phished, backupKey, policy }));
  narrator.say(`Enrolled ${PHISHED} with a hold of ${HOURS} hours. Somebody phishes the code.`);

  await story.asNewApp(async ({ vault }) => {
    const recover = () => vault.recover({ recordId: PHISHED, code: phished });
    const held = await failureOf(recover());
    check(isVaultError(held, 'HELD'), `the right code is held, not ${String(held)}`);
    narrator.say(`The phisher typed the right code: nothing before ${new Date(held.details.notBefore ?? 0).toISOString()}.`);

    const { by, isFinal } = await story.asNewApp((device) => decide(device.vault, backupKey, 'veto'));
    check(isFinal === 'final', `the veto is final, not ${isFinal}`);
    narrator.say(`The owner's other device was told, and vetoed: ${by.length} replicas signed that they keep to it.`);
    const refused = await failureOf(recover());
    check(isVaultError(refused, 'VETOED'), `the phisher is refused for good, not ${String(refused)}`);
  });

  await story.asNewApp(({ vault }) => vault.enroll({ recordId: PHISHED, code: changed, backupKey, policy }));
  const late = await failureOf(story.asNewApp(({ vault }) => vault.recover({ recordId: PHISHED, code: phished })));
  check(isVaultError(late, 'WRONG_CODE'), `the code that was phished is a wrong one now, not ${String(late)}`);
  narrator.say('The owner changed the code. The one that was phished opens nothing any more.');

  await story.asNewApp(async ({ vault }) => {
    const recover = () => vault.recover({ recordId: PHISHED, code: changed, renew: false });
    const held = await failureOf(recover());
    check(isVaultError(held, 'HELD'), `the owner’s own recovery is held, too, not ${String(held)}`);
    await story.asNewApp((device) => decide(device.vault, backupKey, 'approve'));
    const recovered = await recover();
    check(constantTimeEqual(recovered.backupKey.expose(), backupKey.expose()), 'the backup key is the one that was enrolled');
    narrator.say("The owner's new phone recovers with the new code; the old one approves it, and it need not wait.");
  });
}

/** As a device does that has the backup key, and asked what is held. */
async function decide(vault: VaultClient, backupKey: SecretBytes, word: 'veto' | 'approve') {
  const { held } = await vault.describe(PHISHED);
  check(held.length === 1, 'one attempt is held');
  return vault[word]({ recordId: PHISHED, backupKey, held: held[0] as HeldAt });
}
