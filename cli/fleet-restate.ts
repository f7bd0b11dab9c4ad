import { resolve } from 'node:path';
import { Command } from 'commander';
import { restateFleet } from '../fleet/produce/restate.ts';
import { toHex } from '../primitives/bytes.ts';
import { integer } from './arguments.ts';
import type { Output } from './output.ts';

interface Options {
  readonly dir: string;
  readonly storeRestored?: boolean;
  readonly guardLost: number[];
}

export const fleetRestateCommand = (output: Output): Command =>
  new Command('restate')
    .description('make the next statement of a development fleet, after a restore of etcd or the loss of a guard; stop the replicas first')
    .requiredOption('--dir <directory>', 'as given to fleet init')
    .option('--store-restored', 'etcd was restored from a snapshot, or lost')
    .option('--guard-lost <replica>', 'its guard begins anew; may be given again', collect, [])
    .action(({ dir, storeRestored = false, guardLost }: Options) => {
      const { epoch, hash, document } = restateFleet(resolve(dir), { storeRestored, guardsLost: guardLost });
      const { store_incarnation } = document;
      output.result(
        { epoch, statement_hash: toHex(hash), store_incarnation },
        `The fleet's statement is now of epoch ${epoch}, etcd's incarnation ${store_incarnation}. Start every replica again.`,
      );
    });

const collect = (value: string, before: number[]): number[] => [...before, integer(value)];
