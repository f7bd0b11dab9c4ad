import { create } from '@bufbuild/protobuf';
import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { writeBundle } from '../daemon/ledger/bundles.ts';
import { Etcd } from '../daemon/ledger/etcd.ts';
import { parseProof } from '../fleet/log/proof.ts';
import { enclosed, encodePublished, parsePublished } from '../fleet/verify/published-bundle.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { PublishedBundleSchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { parseStatement } from '../protocol/statement.ts';
import { readInput } from './arguments.ts';
import { readLeafHashes } from './leaf-hashes.ts';
import type { Output } from './output.ts';
import { patiently } from './patience.ts';

interface Options {
  readonly config: string;
  readonly log: string;
}

export const bundlePublishCommand = (output: Output): Command =>
  new Command('publish')
    .description('put a bundle into the fleet’s etcd, for replicas to hand out; again whenever the log has a newer checkpoint')
    .argument('<bundle>', 'validation-bundle.txt')
    .argument('<proof>', 'log-proof.txt')
    .requiredOption('--config <file>', "a replica's configuration, which says where etcd is; its statement may be of the epoch before")
    .requiredOption('--log <place>', 'the log that the proof is from: a URL, or the directory that is served there')
    .action(async (bundle: string, proof: string, { config: file, log }: Options) => {
      const config = loadConfig(file);
      const smime = new Uint8Array(readInput(bundle));
      const logProof = new Uint8Array(readInput(proof));
      const statement = parseStatement(enclosed(smime));
      const { fleet } = parseStatement(new Uint8Array(readInput(config.statement)));
      if (statement.fleet !== fleet)
        throw new VaultError('CONFIG_INVALID', `The bundle is of the fleet ${statement.fleet}, the configuration of ${fleet}.`);
      output.step('reading the log');
      const leafHashes = await readLeafHashes(log, parseProof(logProof).checkpoint.size);
      const published = encodePublished(create(PublishedBundleSchema, { smime, logProof, leafHashes }));
      const { treeSize } = parsePublished(published, statement.bytes); // as every replica will
      output.step('publishing');
      const etcd = new Etcd({ ...config.etcd, prefix: `/bkv/${fleet}/` });
      try {
        await patiently(() => writeBundle(etcd, statement.hash, published));
      } finally {
        etcd.close();
      }
      const { epoch } = statement;
      output.result(
        { fleet, epoch, statement_hash: toHex(statement.hash), tree_size: treeSize, bytes: published.length },
        `Replicas of "${fleet}" at epoch ${epoch} hand out this bundle from their next look on; its checkpoint has ${treeSize} entries.`,
      );
    });
