import type { Command } from 'commander';
import { makeInclusionProof } from '../fleet/log/inclusion.ts';
import { parseNote } from '../fleet/log/note.ts';
import { formatProof } from '../fleet/log/proof.ts';
import { entryBundlesOf, tilePath } from '../fleet/log/tile.ts';
import { Checklist, refuse } from '../fleet/verify/checks.ts';
import { checkCheckpoint, checkTree } from '../fleet/verify/log-audit.ts';
import { writeDurably } from '../fleet/witness/durable-file.ts';
import { constantTimeEqual } from '../primitives/bytes.ts';
import { checkResult } from './check-result.ts';
import { fetchFiles, read } from './log-files.ts';
import { type LogOptions, logCommand, policyOf } from './log-options.ts';
import { fetchCheckpoint } from './log-verify.ts';
import type { Output } from './output.ts';

/** A proof ages with its checkpoint, and everything that makes a new one is public: nobody has to ask the witness. */
export const logProveCommand = (output: Output): Command =>
  logCommand('prove')
    .description('make a fresh proof that a log holds a statement, from what the log serves')
    .requiredOption('--statement <file>', 'the statement')
    .requiredOption('--out <file>', 'where the proof goes; it is replaced')
    .action(async (url: string, options: LogOptions & { readonly statement: string; readonly out: string }) => {
      const policy = policyOf(options);
      const statement = new Uint8Array(read(options.statement));
      const list = new Checklist();
      output.step('asking for the checkpoint');
      const bytes = await fetchCheckpoint(url);
      const checkpoint = checkCheckpoint(list, bytes, policy, Date.now());
      output.step('asking for every entry');
      const files = checkpoint && (await fetchFiles(url, entryBundlesOf(checkpoint.size).map(tilePath)));
      const tree = files && checkTree(list, files, checkpoint);
      const proof = list.run('inclusion', 'It holds the statement', [tree], ({ entries, leaves }) => {
        const index = entries.findIndex((entry) => constantTimeEqual(entry, statement));
        if (index < 0) throw refuse('inclusion-proof', `It has ${entries.length} entries, and none is this statement.`);
        return [{ index, hashes: makeInclusionProof(index, leaves), note: parseNote(bytes) }, `It is entry ${index}.`];
      });
      if (proof) writeDurably(options.out, formatProof(proof));
      checkResult(output, list.checks, { log: policy.logKey.name, index: proof?.index ?? null }, `Wrote ${options.out}.`);
    });
