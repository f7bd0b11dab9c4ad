import { resolve } from 'node:path';
import { Command } from 'commander';
import type { ReplicaPlace } from '../fleet/produce/fleet-plan.ts';
import { restateFleet } from '../fleet/produce/restate.ts';
import { toHex } from '../primitives/bytes.ts';
import { integer, ofReplica, portsFrom } from './arguments.ts';
import type { Output } from './output.ts';
import { provisionInChild, rotateInChild } from './provision-in-child.ts';

interface Options {
  readonly dir: string;
  readonly storeRestored?: boolean;
  readonly guardLost: number[];
  readonly rotateKeys?: true;
  readonly addReplica: Record<number, string>;
  readonly removeReplica: number[];
  readonly threshold?: number;
  readonly endEpoch: number[];
}

export const fleetRestateCommand = (output: Output): Command =>
  new Command('restate')
    .description(
      'make the next statement of a development fleet, after a restore of etcd or the loss of a guard (stop the replicas first), with new keys, or with other replicas',
    )
    .requiredOption('--dir <directory>', 'as given to fleet init')
    .option('--store-restored', 'etcd was restored from a snapshot, or lost')
    .option('--guard-lost <replica>', 'its guard begins anew; may be given again', collect, [])
    .option('--rotate-keys', 'make new keys in every token; the replicas may go on serving, and take them up when they are started again')
    .option(
      '--add-replica <i=port>',
      'make replica i, with a token of its own, on this port and the two after it; may be given again',
      ofReplica,
      {},
    )
    .option('--remove-replica <replica>', 'it leaves, and its index is never given again; may be given again', collect, [])
    .option('--threshold <t>', 'from now on (default: as before, or the majority where replicas join or leave)', integer)
    .option('--end-epoch <epoch>', 'an earlier epoch of which nothing is served any more; may be given again', collect, [])
    .action(async (options: Options) => {
      const { dir, storeRestored = false, guardLost, rotateKeys, addReplica, removeReplica, threshold, endEpoch } = options;
      const rotate = (place: ReplicaPlace, to: number) => {
        output.step(`making the keys of replica ${place.index} for epoch ${to}`);
        return rotateInChild(place, to);
      };
      const {
        epoch,
        hash,
        document,
        replicas,
        threshold: t,
      } = await restateFleet(resolve(dir), {
        ...{ storeRestored, guardsLost: guardLost, ...(rotateKeys && { rotate }) },
        joining: new Map(Object.entries(addReplica).map(([index, port]) => [Number(index), portsFrom(integer(port))])),
        ...{ leaving: removeReplica, threshold, ended: endEpoch, now: Date.now() },
        provision: (place, soPinFile) => {
          output.step(`making token and keys of replica ${place.index}`);
          return provisionInChild(place, soPinFile);
        },
      });
      const { store_incarnation, earlier } = document;
      const served = earlier.map((one) => one.epoch);
      output.result(
        {
          epoch,
          statement_hash: toHex(hash),
          store_incarnation,
          replicas: replicas.map(({ index }) => index),
          threshold: t,
          earlier: served,
        },
        `The fleet's statement is now of epoch ${epoch}: ${t} of ${replicas.length} replicas, etcd's incarnation ${store_incarnation}, records of epochs ${[...served, epoch].join(', ')} are served. Start every replica again.`,
      );
    });

const collect = (value: string, before: number[]): number[] => [...before, integer(value)];
