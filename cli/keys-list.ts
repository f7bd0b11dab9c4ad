import { Command } from 'commander';
import { loadConfig } from '../daemon/config.ts';
import { type ListedSet, listOwnKeys } from '../daemon/own-keys.ts';
import type { Output } from './output.ts';

export const keysListCommand = (output: Output): Command =>
  new Command('list')
    .description("show the sets of keys in a replica's token, and how many stored generations still need each")
    .requiredOption('--config <file>', "the replica's configuration")
    .action(async ({ config: file }: { readonly config: string }) => {
      output.step('counting');
      const config = loadConfig(file);
      const { epoch, sets, lost, guardNotRead } = await listOwnKeys(config);
      const what = guardNotRead === undefined ? tell : ({ etcd }: ListedSet['needed']) => `${etcd} in etcd`;
      const any = lost.live + lost.prepared + lost.etcd > 0;
      output.result(
        { replica: config.replica, epoch, sets, lost, ...(guardNotRead !== undefined && { guard_not_read: guardNotRead }) },
        [
          `Keys of replica ${config.replica}, whose statement is of epoch ${epoch}; and the generations that need them:`,
          ...sets.map(({ set, state, keys, needed }) => `set ${set}, ${state}, ${words[keys]}: ${what(needed)}`),
          ...(any ? [`destroyed: ${what(lost)}`] : []),
          ...(guardNotRead === undefined ? [] : [`The guard is not counted: ${guardNotRead}`]),
        ].join('\n'),
      );
    });

const words = { all: 'all keys', part: 'incomplete' } as const satisfies Record<ListedSet['keys'], string>;

const tell = ({ live, prepared, etcd }: ListedSet['needed']): string =>
  `${live} live and ${prepared} prepared in the guard, ${etcd} in etcd`;
