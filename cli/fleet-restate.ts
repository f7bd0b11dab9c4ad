import { resolve } from 'node:path';
import { Command } from 'commander';
import type { ReplicaPlace } from '../fleet/produce/fleet-plan.ts';
import { restateFleet } from '../fleet/produce/restate.ts';
import { toHex } from '../primitives/bytes.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';
import { rotateInChild } from './provision-in-child.ts';

interface Options {
  readonly dir: string;
  readonly storeRestored?: boolean;
  readonly guardLost: number[];
  readonly rotateKeys?: true;
}

export const fleetRestateCommand = (output: Output): Command =>
  new Command('restate')
    .description(
      'make the next statement of a development fleet, after a restore of etcd or the loss of a guard (stop the replicas first), or with new keys',
    )
    .requiredOption('--dir <directory>', 'as given to fleet init')
    .option('--store-restored', 'etcd was restored from a snapshot, or lost')
    .option('--guard-lost <replica>', 'its guard begins anew; may be given again', collect, [])
    .option('--rotate-keys', 'make new keys in every token; the replicas may go on serving, and take them up when they are started again')
    .action(async ({ dir, storeRestored = false, guardLost, rotateKeys }: Options) => {
      const rotate = (place: ReplicaPlace, to: number) => {
        output.step(`making the keys of replica ${place.index} for epoch ${to}`);
        return rotateInChild(place, to);
      };
      const incidents = { storeRestored, guardsLost: guardLost, ...(rotateKeys && { rotate }) };
      const { epoch, hash, document } = await restateFleet(resolve(dir), incidents);
      const { store_incarnation } = document;
      output.result(
        { epoch, statement_hash: toHex(hash), store_incarnation },
        `The fleet's statement is now of epoch ${epoch}, etcd's incarnation ${store_incarnation}. Start every replica again.`,
      );
    });

const collect = (value: string, before: number[]): number[] => [...before, integer(value)];
