import { Command } from 'commander';
import type { Decided } from '../client/decide-hold.ts';
import type { HeldAttempt } from '../client/describe.ts';
import { constantTimeEqual, toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { integer } from './arguments.ts';
import { readKeyFile } from './key-file.ts';
import { withVault } from './open-vault.ts';
import type { Output } from './output.ts';

interface Options {
  readonly key: string;
  readonly attempt?: number;
}

export const vetoCommand = (output: Output): Command =>
  decideCommand(output, 'veto', 'end a recovery that is held, and is not yours: it gives no backup key, whoever knows the code');

export const approveCommand = (output: Output): Command =>
  decideCommand(output, 'approve', 'let a recovery that is held go at once, since it is yours');

const decideCommand = (output: Output, name: 'veto' | 'approve', description: string): Command =>
  new Command(name)
    .description(description)
    .argument('<record>', "the account's pseudonym at its backup service")
    .requiredOption('--key <file>', 'the backup key, which shows that you are the owner')
    .option('--attempt <number>', 'which one, where several are held', integer)
    .action((recordId: string, options: Options, command: Command) => decide(recordId, options, command, output, name === 'veto'));

async function decide(recordId: string, { key, attempt }: Options, command: Command, output: Output, isVeto: boolean): Promise<void> {
  const backupKey = readKeyFile(key);
  output.step('asking for the record');
  const [g, held, decided] = await withVault(command, async (vault) => {
    const described = await vault.describe(recordId);
    const meant = theOne(described.held, attempt, isVeto);
    output.step('telling the replicas');
    const { pointHash, blindedBase } = meant;
    const decision = { recordId, backupKey, g: described.g, attempt: meant.attempt, pointHash, blindedBase };
    return [described.g, meant, await (isVeto ? vault.veto(decision) : vault.approve(decision))] as const;
  });
  backupKey.wipe();
  const { by, released, isFinal } = decided;
  const what = isVeto ? 'veto' : 'approval';
  output.result(
    { record: recordId, generation: toHex(g), attempt: held.attempt, decision: what, replicas: by, released, finality: isFinal },
    inWords(held, decided, isVeto),
    isVeto && isFinal === 'too few' ? notFinal(decided) : undefined,
  );
}

/** Throws MALFORMED where it is not clear which one is meant. A veto is for all who proved it. */
function theOne(all: readonly HeldAttempt[], attempt: number | undefined, isVeto: boolean): HeldAttempt {
  const open = all.filter(({ held, vetoed, approved }) => held.length + vetoed.length + approved.length > 0);
  const meant = attempt === undefined ? open : open.filter((each) => each.attempt === attempt);
  const [one, another] = meant;
  if (one && !another) return one;
  if (one && meant.every(({ pointHash }) => constantTimeEqual(pointHash, one.pointHash))) {
    if (isVeto) return one;
    throw new VaultError(
      'PROOF_CONFLICT',
      `Attempt ${one.attempt} was proved by two parties, and one of them is not you: veto it, and recover anew.`,
    );
  }
  const which = open.map((each) => each.attempt).join(', ') || 'none';
  throw new VaultError('MALFORMED', `Say which recovery is meant, by --attempt. Attempts that are held: ${which}.`);
}

function inWords({ attempt }: HeldAttempt, { by, isFinal }: Decided, isVeto: boolean): string {
  if (!isVeto) return `Attempt ${attempt} is approved by ${by.length} replicas: it need not wait there.`;
  return `Attempt ${attempt} is vetoed. ${by.length} replicas signed that they give nothing for it: ${isFinal}. Whoever made it knows the code: choose another one.`;
}

const notFinal = ({ released }: Decided) =>
  released.length > 0
    ? new VaultError(
        'VETOED',
        'Some replicas had released it already: the backup key may be known. Make a new one, and encrypt the backup again.',
      )
    : new VaultError('NOT_ENOUGH_REPLICAS', 'Too few replicas keep to the veto as yet: run the same command again.');
