import { Command } from 'commander';
import type { Decided } from '../client/decide-hold.ts';
import type { HeldAt } from '../client/locate.ts';
import { toHex } from '../primitives/bytes.ts';
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
  const decided = await withVault(command, async (vault) => {
    const { held } = await vault.describe(recordId);
    const meant = isVeto ? allOf(held, attempt) : [theOne(held, attempt)];
    output.step('telling the replicas');
    const all: [HeldAt, Decided][] = [];
    for (const each of meant) all.push([each, await vault[isVeto ? 'veto' : 'approve']({ recordId, backupKey, held: each })]);
    return all;
  });
  backupKey.wipe();
  const told = decided.map(([{ g, attempt: number, fingerprint, fleet }, { by, released, isFinal }]) => ({
    ...{ generation: toHex(g), attempt: number, fingerprint, fleet, replicas: by, released, finality: isFinal },
  }));
  output.result(
    { record: recordId, decision: isVeto ? 'veto' : 'approval', attempts: told },
    decided.map(([held, word]) => inWords(held, word, isVeto)).join('\n'),
    decided.map(([, word]) => tooFew(word, isVeto)).find((verdict) => verdict !== undefined),
  );
}

const isOpen = ({ held, vetoed, approved }: HeldAt): boolean => held.length + vetoed.length + approved.length > 0;

const named = (all: readonly HeldAt[], attempt: number | undefined): HeldAt[] =>
  all.filter((each) => isOpen(each) && (attempt === undefined || each.attempt === attempt));

/** A veto too many costs an attempt, and one that is missing the backup key. Throws MALFORMED where nothing is held, or several are and none is named. */
function allOf(all: readonly HeldAt[], attempt: number | undefined): HeldAt[] {
  const meant = named(all, attempt);
  if (meant.length === 0 || (attempt === undefined && meant.some((each) => each.attempt !== meant[0]?.attempt))) throw which(all);
  return meant;
}

/** Throws MALFORMED, PROOF_CONFLICT. */
function theOne(all: readonly HeldAt[], attempt: number | undefined): HeldAt {
  const [one, another] = named(all, attempt);
  if (!one || (another && attempt === undefined)) throw which(all);
  if (!another) return one;
  throw new VaultError(
    'PROOF_CONFLICT',
    `Attempt ${one.attempt} is told of two proofs, one of which is not yours: veto it, and recover with --anew.`,
  );
}

function which(all: readonly HeldAt[]): VaultError {
  const attempts = all.filter(isOpen).map(({ attempt, fingerprint }) => `${attempt} (${fingerprint})`);
  return new VaultError('MALFORMED', `Say which recovery is meant, by --attempt. Held: ${attempts.join(', ') || 'none'}.`);
}

function inWords({ attempt, fingerprint }: HeldAt, { by, released, isFinal }: Decided, isVeto: boolean): string {
  const name = `Attempt ${attempt} (${fingerprint})`;
  if (isVeto)
    return `${name} is vetoed. ${by.length} replicas signed that they give nothing for it: ${isFinal}. Whoever made it knows the code: choose another one.`;
  return by.length > 0
    ? `${name} is approved by ${by.length} replicas: it need not wait there.`
    : `${name} is approved by none${released.length > 0 ? ': it was released before' : ''}.`;
}

function tooFew({ released, isFinal }: Decided, isVeto: boolean): VaultError | undefined {
  if (isFinal !== 'too few') return undefined;
  if (!isVeto) return new VaultError('NOT_ENOUGH_REPLICAS', 'Too few replicas keep to the approval: run the same command again, or wait.');
  return released.length > 0
    ? new VaultError(
        'VETOED',
        'Some replicas say that they may have released it: the backup key may be known. Make a new one, and encrypt the backup again.',
      )
    : new VaultError('NOT_ENOUGH_REPLICAS', 'Too few replicas keep to the veto as yet: run the same command again.');
}
