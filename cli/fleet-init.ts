import { join, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { produceFleet } from '../fleet/produce/fleet.ts';
import type { OwnToken } from '../fleet/produce/fleet-plan.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { packageRoot, version } from '../primitives/package-root.ts';
import { integer, ofReplica, portsFrom, urls } from './arguments.ts';
import type { Output } from './output.ts';
import { provisionInChild } from './provision-in-child.ts';

interface Options {
  readonly dir: string;
  readonly fleet: string;
  readonly replicas: number;
  readonly threshold?: number;
  readonly tenant: string;
  readonly etcd: string[];
  readonly basePort: number;
  readonly profile: string;
  readonly replicaOperator: Record<number, string>;
  readonly replicaProfile: Record<number, string>;
  readonly replicaToken: Record<number, string>;
  readonly replicaPinFile: Record<number, string>;
}

export const fleetInitCommand = (output: Output): Command =>
  new Command('init')
    .description('make a development fleet on this machine: tokens, keys, certificates, configurations, statement')
    .requiredOption('--dir <directory>', 'where; must not exist')
    .option('--fleet <name>', "the fleet's name", 'development')
    .option('--replicas <n>', 'how many, 3 to 9', integer, 3)
    .option('--threshold <t>', 'how many must take part in a recovery (default: the majority)', integer)
    .option('--tenant <name>', 'the backup service that will use it', 'demo')
    .option('--etcd <url,...>', 'where etcd serves its clients', urls, ['https://localhost:2379'])
    .option('--base-port <port>', "the first replica's first port; each replica takes three", integer, 7400)
    .option('--profile <name>', 'of the replicas’ tokens: a file of hsm-config/, or a path', 'softhsm2')
    .option(
      '--replica-operator <i=name>',
      'who runs replica i (default: one operator, called as the fleet); may be given again',
      ofReplica,
      {},
    )
    .option('--replica-profile <i=name>', 'of replica i alone; may be given again', ofReplica, {})
    .option(
      '--replica-token <i=label>',
      'replica i’s token is there already, initialised with its vendor’s tools, and is called so',
      ofReplica,
      {},
    )
    .option('--replica-pin-file <i=file>', 'the PIN of that token', ofReplica, {})
    .action((options: Options) => init(options, output));

async function init(options: Options, output: Output): Promise<void> {
  const made = await produceFleet({
    directory: resolve(options.dir), // it is written into the token's configuration, which is read from anywhere
    fleet: options.fleet,
    tenant: options.tenant,
    threshold: options.threshold ?? Math.floor(options.replicas / 2) + 1,
    ports: Array.from({ length: options.replicas }, (_, i) => portsFrom(options.basePort + 3 * i)),
    etcdEndpoints: options.etcd,
    operators: options.replicaOperator,
    profile: asConfigured(options.profile),
    otherProfiles: Object.fromEntries(Object.entries(options.replicaProfile).map(([index, name]) => [index, asConfigured(name)])),
    ownTokens: ownTokens(options),
    settings: {},
    software: { version, digest: 'development' },
    provision: provisionInChild,
    progress: (step) => output.step(step),
    now: Date.now(),
  });
  for (const { config } of made.replicas) loadConfig(config); // as the daemon will
  const { statement, clientFile } = made;
  const document = {
    directory: made.directory,
    fleet: statement.fleet,
    epoch: statement.epoch,
    threshold: statement.threshold,
    replicas: statement.replicas.length,
    statement_hash: toHex(statement.hash),
    client_file: clientFile,
  };
  const daemon = relative(process.cwd(), join(packageRoot, 'dist/daemon/main.js'));
  output.result(
    document,
    [
      `Made the fleet "${statement.fleet}" in ${made.directory}: ${document.replicas} replicas, of which ${document.threshold} are needed.`,
      `Statement ${document.statement_hash}`,
      '',
      `Start etcd at ${options.etcd.join(', ')} with the certificates in ${join(made.directory, 'etcd')}, then each replica:`,
      ...made.replicas.map(({ directory, config, index }) => {
        const environment = options.replicaToken[index] === undefined ? `SOFTHSM2_CONF=${join(directory, 'softhsm2.conf')} ` : '';
        return `  ${environment}node ${daemon} --config ${config}`;
      }),
      'Then:',
      `  bkvctl --client ${clientFile} fleet status`,
    ].join('\n'),
  );
}

function ownTokens({ replicaToken, replicaPinFile }: Options): Record<number, OwnToken> {
  const replicas = Object.keys({ ...replicaToken, ...replicaPinFile }).map(Number);
  return Object.fromEntries(
    replicas.map((index) => {
      const [label, pinFile] = [replicaToken[index], replicaPinFile[index]];
      if (label === undefined || pinFile === undefined)
        throw new VaultError('MALFORMED', `The token of replica ${index} takes both: --replica-token and --replica-pin-file.`);
      return [index, { label, pinFile: resolve(pinFile) }];
    }),
  );
}

/** A path is written into configurations that are read from elsewhere. */
const asConfigured = (profile: string): string => (profile.includes('/') ? resolve(profile) : profile);
