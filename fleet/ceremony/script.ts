import { hexHash } from '../verify/files.ts';
import { operatorOf, type PlannedReplica } from '../verify/plan.ts';
import { parsePublicKey } from '../verify/public-key.ts';
import { hashWords } from '../verify/words.ts';
import type { LoadedPlan } from './load-plan.ts';

/** The ceremony as a sheet of paper for the room: who says and does what, with places to write. Markdown. */
export function roomScript({ plan, bytes }: LoadedPlan): string {
  const hash = hexHash(bytes);
  const steps = [
    'Everyone in the room says their name and role. Cameras and recording: ______',
    `The operator reads the words of the plan’s hash aloud; everyone compares them with their own copy (bkvctl ceremony PLAN --script).`,
    'Each participant compares the fingerprint of their own key with the list above.',
    `The operator shows the software’s digest, ${plan.software.digest}, and how it was rebuilt.`,
    'The operator starts the ceremony: bkvctl ceremony PLAN --out DIRECTORY. From here on nothing is typed in.',
    ...plan.replicas.map((replica) => `${replica.name}, run by ${operatorOf(plan, replica)}: ${atTheToken[replica.keys]}`),
    'The operator reads the words of the statement’s hash and of the transcript’s head aloud; everyone writes them down below.',
    'Each participant checks the evidence on a machine of their own: bkvctl ceremony sign DIRECTORY --as NAME verifies before it signs.',
    'Each participant signs: agrees, or does not agree; exceptions are written in words.',
    'The witness verifies, appends the statement to its log and signs. The operator signs over it: bkvctl ceremony seal.',
  ];
  return [
    `# Ceremony of the fleet ${plan.fleet}, epoch ${plan.epoch}${plan.purpose === 'rehearsal' ? ' (rehearsal)' : ''}`,
    '',
    `${plan.replicas.length} replicas, of which ${plan.threshold} are needed. In force from ${plan.not_before} to ${plan.not_after}.`,
    '',
    `Plan, SHA-256: ${hash}`,
    '',
    wordLines(hash),
    '',
    '## Participants',
    '',
    ...plan.participants.flatMap(({ name, role, public_key }) => [
      `- [ ] ${name}, ${role}; key ${parsePublicKey(public_key).fingerprint}`,
      '      in person: ______________________  signature: ______________________',
    ]),
    '',
    '## Steps',
    '',
    ...steps.flatMap((step, i) => [`${i + 1}. [ ] ${step}`, '   time: ________']),
    '',
    '## Words',
    '',
    'Statement:',
    blanks,
    'Transcript:',
    blanks,
    '## What went otherwise',
    '',
    '____________________________________________________________',
    '',
    '____________________________________________________________',
    '',
  ].join('\n');
}

const atTheToken = {
  make: 'the token’s seal is whole (number: ______). The replica’s four keys are made in it, and every attribute is read back.',
  keep: 'the token keeps its keys. Every attribute is read back.',
  rotate:
    'the token’s seal is whole (number: ______). Three new keys are made in it beside its old ones, the key of its receipts stays, and every attribute is read back.',
} as const satisfies Record<PlannedReplica['keys'], string>;

/** 24 words in lines of six, numbered at the start of each. */
const inSixes = (words: readonly string[]): string =>
  [0, 6, 12, 18].map((at) => `    ${String(at + 1).padStart(2)}  ${words.slice(at, at + 6).join(' ')}`).join('\n');

export const wordLines = (hash: string): string => inSixes(hashWords(hash).split(' '));

const blanks = `\n${inSixes(Array.from({ length: 24 }, () => '________'))}\n`;
