import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { Output } from '../cli/output.ts';
import { readEvidence } from '../fleet/ceremony/read-evidence.ts';
import { signSmime } from '../fleet/produce/cms.ts';
import type { Collected } from '../fleet/witness/collect.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { verifyFromRoom } from '../fleet/witness/room.ts';
import { type Judgement, refresh, submit } from '../fleet/witness/witness.ts';
import { toHex, utf8 } from '../primitives/bytes.ts';
import { systemClock } from '../primitives/clock.ts';
import { directoryOf, withWitness } from './open-witness.ts';

interface Options {
  readonly out: string;
  readonly statement: string;
  readonly rehearsal?: boolean;
}

export const submitCommand = (output: Output): Command =>
  new Command('submit')
    .description('judge evidence, put its statement into the log, sign it; the same again makes a fresh proof and no second entry')
    .argument('<evidence>', "the ceremony's directory")
    .requiredOption('--out <directory>', 'where witnessed.txt and log-proof.txt go, for the operator; they are replaced')
    .requiredOption('--statement <hash>', "the statement's hash as it was read aloud in the room, in hexadecimal", parseStatementHash)
    .option('--rehearsal', 'sign a rehearsal, too')
    .action(async (evidence: string, { out, statement, rehearsal = false }: Options, command: Command) => {
      output.step('verifying the evidence');
      const files = readEvidence(evidence);
      const done = await withWitness(directoryOf(command), ({ options, bundleSigner }) => {
        const judgement: Judgement = {
          verifyEvidence: (judged, itsStatement) => verifyFromRoom(judged, itsStatement, { statement, rehearsal }),
          signBundle: (bytes) => signSmime(bytes, bundleSigner, systemClock.now()),
        };
        return submit(files, { ...options, judgement });
      });
      mkdirSync(out, { recursive: true });
      writeDurably(join(out, 'witnessed.txt'), utf8(done.bundle));
      writeDurably(join(out, 'log-proof.txt'), done.proof);
      const { fleet, epoch, hash } = done.statement;
      output.result(
        { fleet, epoch, statement_hash: toHex(hash), index: done.index, new: done.isNew, size: done.size, missing: done.missing },
        [
          `${done.isNew ? 'Put' : 'Found'} epoch ${epoch} of "${fleet}" as entry ${done.index} of the log, and signed it.`,
          `For the operator to sign over, in ${out}: witnessed.txt, log-proof.txt`,
          ...tellMissing(done.missing),
        ].join('\n'),
      );
    });

export const refreshCommand = (output: Output): Command =>
  new Command('refresh')
    .description('sign the checkpoint again with the present time, and have it cosigned: clients take none that is old')
    .action(async (_options: unknown, command: Command) => {
      const { size, missing } = await withWitness(directoryOf(command), ({ options }) => refresh(options));
      output.result({ size, missing }, [`Signed the log of ${size} entries again.`, ...tellMissing(missing)].join('\n'));
    });

/** Sentences about cosigners that did not sign. The checkpoint is public without them; clients may want more of them. */
export const tellMissing = (missing: Collected['missing']): string[] => missing.map(({ reason }) => `Not cosigned: ${reason}`);

/** As people write it down: in groups, or in capitals. */
function parseStatementHash(text: string): string {
  const hash = text.replaceAll(/\s/g, '').toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hash))
    throw new InvalidArgumentError('It has 64 hexadecimal digits: `bkvctl ceremony` printed it for the room.');
  return hash;
}
