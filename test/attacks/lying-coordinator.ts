import { join } from 'node:path';
import type { Client, Handlers } from '../../grpc/bridge.ts';
import { VaultService } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { freePorts } from '../harness/free-port.ts';
import type { OwnFleet } from '../integration/support/own-fleet.ts';
import { impersonate } from './impostor.ts';

type Calls = Client<typeof VaultService>;
type Method = keyof Calls;

/** What it makes of each call; `truly` is what an honest coordinator would answer, and has it done. */
export type Lies = { [M in Method]?: (truly: () => ReturnType<Calls[M]>, request: Parameters<Calls[M]>[0]) => ReturnType<Calls[M]> };

export interface LyingCoordinator {
  /** For a frontend that takes it for a replica. */
  readonly address: string;
  /** Of now; it is honest where none is here. */
  lies: Lies;
  readonly end: () => void;
}

/** Whoever has the certificate of replica `index`, to frontends. What it does as an honest one would, it has that replica's daemon do. */
export async function coordinateAs({ fleet, world }: OwnFleet, index: number): Promise<LyingCoordinator> {
  const [port] = await freePorts(1);
  const address = `localhost:${port}`;
  const { cert, key } = world.replica(index).tls;
  const daemon = world.frontend(world.client.tls, world.client.addresses[index - 1] as string);
  const state: { lies: Lies } = { lies: {} };
  const answer = (method: Method) => (request: never) => {
    const truly = () => daemon[method](request) as Promise<never>;
    const lie = state.lies[method] as ((truly: () => Promise<never>, request: never) => Promise<never>) | undefined;
    return lie ? lie(truly, request) : truly();
  };
  const methods = VaultService.methods.map(({ localName }) => [localName, answer(localName as Method)]);
  const tls = { cert, key, ca: join(fleet.directory, 'frontends-ca.crt') };
  const end = await impersonate({ address, tls }, VaultService, Object.fromEntries(methods) as Handlers<typeof VaultService, undefined>);
  return Object.assign(state, { address, end });
}
