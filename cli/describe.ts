import { Command } from 'commander';
import type { HeldAttempt } from '../client/describe.ts';
import type { Description } from '../client/locate.ts';
import { toHex } from '../primitives/bytes.ts';
import { withVault } from './open-vault.ts';
import { attempts, type Output } from './output.ts';

export const describeCommand = (output: Output): Command =>
  new Command('describe')
    .description('show the state of a record and what is left of its attempts; spends nothing')
    .argument('<record>', "the account's pseudonym at its backup service")
    .action(async (recordId: string, _options: unknown, command: Command) => {
      output.step('asking for the record');
      const described = await withVault(command, (vault) => vault.describe(recordId));
      const { state, g, attemptsUsed, attemptsLimit, notBefore, holders, threshold, replicas } = described;
      const held = described.held.map(({ pointHash: _name, blindedBase: _base, g: of, ...each }) => ({ ...each, generation: toHex(of) }));
      const count = { attemptsUsed, attemptsLimit, notBefore, holders, threshold, replicas, held };
      output.result({ record: recordId, state, generation: toHex(g), ...count }, inWords(recordId, described));
    });

function inWords(recordId: string, record: Description): string {
  const { state, attemptsUsed, attemptsLimit, notBefore, holders, threshold, replicas } = record;
  if (state === 'erased') return `${recordId} was erased.`;
  const lines = [
    `${recordId} is ${state === 'live' ? 'live' : 'exhausted: it opens no more and will be erased'}.`,
    attempts(attemptsUsed, attemptsLimit),
    `${holders.length} of ${replicas} replicas hold a share, ${threshold} are needed.`,
  ];
  if (notBefore !== undefined) lines.push(`The next attempt is allowed at ${new Date(notBefore).toISOString()}.`);
  for (const each of record.held) lines.push(heldInWords(each));
  return lines.join('\n');
}

function heldInWords({ attempt, fingerprint, until, held, vetoed, approved, released }: HeldAttempt): string {
  const of = ([one, ...more]: readonly number[]) => `replica${more.length > 0 ? 's' : ''} ${[one, ...more].join(', ')}`;
  const says = [
    ...(held.length > 0 ? [`held by ${of(held)} until ${new Date(until).toISOString()}`] : []),
    ...(approved.length > 0 ? [`approved at ${of(approved)}`] : []),
    ...(vetoed.length > 0 ? [`vetoed at ${of(vetoed)}`] : []),
    ...(released.length > 0 ? [`released by ${of(released)}`] : []),
  ];
  const isProved = held.length + released.length > 0;
  const who = isProved ? 'Somebody gave the right code as attempt' : 'Of attempt';
  const what = held.length > 0 ? ' If it was not you, veto it. If it was, compare the fingerprint before you approve it.' : '';
  return `${who} ${attempt} (${fingerprint}): ${says.join(', ')}.${what}`;
}
