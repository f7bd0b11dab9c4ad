import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Millis } from '../../primitives/brand.ts';
import { Authority, validityFrom } from './authority.ts';
import { replicaSubject } from './certificates.ts';
import { makeDirectory, replace, writeIdentity, writePins } from './files.ts';
import { type Ports, placeOf, type ReplicaPlace } from './fleet-plan.ts';
import { connectTo, listenOn } from './replica-config.ts';
import type { Provisioned } from './token-reading.ts';

/** What is in a replica's configuration that another one does not have as well. */
interface OwnSettings {
  readonly peers: readonly { readonly index: number; readonly address: string }[];
  readonly listen: { readonly frontend: string; readonly peer: string; readonly metrics: string };
  readonly token: object;
}

export interface Joining {
  readonly directory: string;
  readonly fleet: string;
  /** Of the fleet so far, in order. */
  readonly members: readonly number[];
  /** Of those that join, by index. */
  readonly ports: ReadonlyMap<number, Ports>;
  readonly provision: (place: ReplicaPlace, soPinFile: string) => Promise<Provisioned>;
  readonly now: Millis;
}

/**
 * Makes files, tokens and keys of replicas that join a development fleet, set up as its first replica is, and lets those that are there know
 * them. The authority that signed the others is gone, so these get one of their own. Returns what each token has, by index.
 */
export async function joinFleet({ directory, fleet, members, ports, provision, now }: Joining): Promise<Map<number, Provisioned>> {
  const model = placeOf(directory, fleet, members[0] as number);
  const settings = readSettings(model);
  const joining = [...ports].map(([index, { peer }]) => ({ index, address: connectTo(peer) }));
  const own = { index: model.index, address: settings.listen.peer.replace(/^127\.0\.0\.1:/, 'localhost:') };
  const everyone = [own, ...settings.peers, ...joining].sort((a, b) => a.index - b.index);

  const authority = await Authority.create(`${fleet} replicas, development`, validityFrom(now));
  const authorities = join(directory, 'replicas-ca.crt');
  replace(authorities, Buffer.from(`${readFileSync(authorities, 'utf8')}${authority.certificate}`));

  const provisioned = new Map<number, Provisioned>();
  for (const [index, { frontend, peer, metrics }] of ports) {
    const place = placeOf(directory, fleet, index);
    makeDirectory(place.directory);
    const tls = makeDirectory(join(place.directory, 'tls'));
    writeIdentity(tls, 'replica', await authority.issue(replicaSubject(fleet, index)));
    // For etcd it is who the model is: who signed for that is gone, too.
    for (const file of ['etcd-client.crt', 'etcd-client.key']) copyFileSync(join(model.directory, 'tls', file), join(tls, file));
    writeSettings(place, {
      ...{ ...settings, replica: index, peers: everyone.filter((other) => other.index !== index) },
      listen: { frontend: listenOn(frontend), peer: listenOn(peer), metrics: listenOn(metrics) },
      token: { ...settings.token, label: `${fleet}-${index}`, pin_file: 'pin' },
    });
    provisioned.set(index, await provision(place, writePins(place.directory)));
  }
  for (const index of members) {
    const place = placeOf(directory, fleet, index);
    writeSettings(place, { ...readSettings(place), peers: everyone.filter((other) => other.index !== index) });
  }
  return provisioned;
}

const readSettings = ({ config }: ReplicaPlace): OwnSettings => parse(readFileSync(config, 'utf8'));

const writeSettings = ({ config }: ReplicaPlace, settings: OwnSettings & object): void => replace(config, Buffer.from(stringify(settings)));
