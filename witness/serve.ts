import { once } from 'node:events';
import { type AddressInfo, isIPv6 } from 'node:net';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { Output } from '../cli/output.ts';
import { parseNoteKey } from '../fleet/log/note-key.ts';
import { loadWitnessConfig } from '../fleet/witness/config.ts';
import { CosignedCheckpoints } from '../fleet/witness/cosigned-checkpoints.ts';
import { Cosigner } from '../fleet/witness/cosigner.ts';
import { CosignerMemory } from '../fleet/witness/memory.ts';
import { witnessServer } from '../fleet/witness/server.ts';
import { VaultError } from '../primitives/errors.ts';
import { directoryOf, withWitness } from './open-witness.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

function address(value: string): Address {
  const [, host, port] = /^(?:\[([^\]]+)\]|([^\s:]+)):(\d{1,5})$/.exec(value)?.filter((part) => part !== undefined) ?? [];
  if (host === undefined) throw new InvalidArgumentError('It must be host:port.');
  return { host, port: Number(port) };
}

export const followCommand = (output: Output): Command =>
  new Command('follow')
    .description('cosign the checkpoints of another log from now on; the one command that makes a memory of one')
    .argument('<vkey>', "the log's key, as its witness says it")
    .action((vkey: string, _options: unknown, command: Command) => {
      const key = parseNoteKey(vkey);
      if (key.type !== 1) throw new VaultError('MALFORMED', 'This is the key of a cosigner; a log has one of type 1.');
      const directory = directoryOf(command);
      loadWitnessConfig(directory); // a witness's, and not just any directory
      new CosignerMemory(directory).follow(key);
      output.result({ log: key.name }, `Follows the log ${key.name}, from the empty tree.`);
    });

export const serveCommand = (output: Output): Command =>
  new Command('serve')
    .description("serve the log's files over HTTP, and cosign the logs that are followed; a proxy adds TLS")
    .requiredOption('--listen <host:port>', 'where; port 0 takes any that is free', address)
    .action(async ({ listen }: { readonly listen: Address }, command: Command) => {
      const directory = directoryOf(command);
      await withWitness(directory, async ({ options: { log, clock }, logSigner }) => {
        log.entries(); // a log that is not what it signed is not served as if it were
        const cosigner = new Cosigner({
          key: log.key,
          sign: (message) => logSigner.sign(message),
          memory: new CosignerMemory(directory),
          checkpoints: new CosignedCheckpoints(directory),
          clock,
        });
        const server = witnessServer({ directory: join(directory, 'public'), cosigner, onFault: tell });
        await listening(server.listen(listen.port, listen.host), listen);
        const { address: host, port } = server.address() as AddressInfo;
        const url = `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
        output.result({ url, log: log.key.name }, `Serves ${log.key.name} at ${url}`);
        await stopped();
        server.close();
        server.closeAllConnections(); // whoever was answered has a durable answer; whoever was not asks again
      });
    });

async function listening(server: ReturnType<typeof witnessServer>, { host, port }: Address): Promise<void> {
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new VaultError('PORT_BUSY', `Cannot listen on ${host}:${port}: ${(cause as Error).message}`, { cause });
  }
}

const stopped = (): Promise<unknown> => Promise.race(['SIGTERM', 'SIGINT'].map((signal) => once(process, signal)));

function tell(error: unknown): void {
  process.stderr.write(`bkv-witness: ${error instanceof VaultError ? `${error.message} [${error.code}]` : String(error)}\n`);
}
