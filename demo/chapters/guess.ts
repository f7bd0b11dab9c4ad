import { create } from '@bufbuild/protobuf';
import type { OpenVault } from '../../cli/open-vault.ts';
import { attempts } from '../../cli/output.ts';
import { codeInput } from '../../client/derive.ts';
import { blind } from '../../client/oprf.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { BeginRecoveryRequestSchema } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { check, failureOf } from '../narrator.ts';
import { LIMIT, RECORD, type Story } from '../story.ts';

/** Somebody guesses until no attempt is left; from then on the right code is as good as any other. */
export async function guessToTheLimit(story: Story): Promise<void> {
  const { narrator } = story;
  for (let used = 1; used <= LIMIT; used++) {
    const error = await failureOf(story.asNewApp(({ vault }) => vault.recover({ recordId: RECORD, code: story.wrongCode() })));
    check(isVaultError(error, 'WRONG_CODE'), `wrong code ${used} is told as such, not as ${String(error)}`);
    check(error.details.attemptsUsed === used && error.details.attemptsLimit === LIMIT, `${used} attempts are used`);
    narrator.say(`Guessed a wrong code. ${attempts(used, LIMIT)}`);
  }

  const told = await failureOf(story.asNewApp(({ vault }) => vault.recover({ recordId: RECORD, code: story.code })));
  check(isOver(told), `the right code is refused, not ${String(told)}`);
  const refused = await failureOf(story.asNewApp((app) => askAnyway(story, app)));
  check(isOver(refused), `the vault refuses who asks anyway, not ${String(refused)}`);
  narrator.say('Typed the right code: refused at once. An app that does not ask first is refused by the vault itself.');
}

/** Spent, and on a slow machine erased since. */
const isOver = (error: unknown): boolean => isVaultError(error, 'EXHAUSTED') || isVaultError(error, 'ERASED');

/** What a client sends that ignores what it was told: a blinded point of the right code. */
async function askAnyway(story: Story, { vault, transport }: OpenVault): Promise<void> {
  const { g } = await vault.describe(RECORD);
  const { point } = blind(codeInput(story.code, story.fleet.client.fleet, story.rid));
  await transport.beginRecovery(create(BeginRecoveryRequestSchema, { recordId: RECORD, g, point }));
}
