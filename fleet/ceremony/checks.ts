import { accessSync, constants, existsSync } from 'node:fs';
import type { Millis } from '../../primitives/brand.ts';
import { VaultError } from '../../primitives/errors.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import { indicesOf, type PlannedReplica } from '../verify/plan.ts';
import type { LoadedPlan } from './load-plan.ts';

/** One thing that must be so before a ceremony begins. */
export interface Precheck {
  readonly title: string;
  /** Why it is not so. */
  readonly problem: string | undefined;
}

export interface PrecheckOptions {
  /** Where the evidence will be written. */
  readonly directory: string;
  readonly now: Millis;
  /** Throws what is wrong with a replica's configuration; the command that runs the ceremony knows daemons, the ceremony does not. */
  readonly checkReplica: (replica: PlannedReplica, index: number) => void;
}

/** All of them, whether they hold or not. Makes nothing, and opens no token. */
export function precheck(loaded: LoadedPlan, { directory, now, checkReplica }: PrecheckOptions): Precheck[] {
  const { plan, previous } = loaded;
  const indices = indicesOf(plan);
  return [
    look(`The evidence goes to a new directory, ${directory}`, () => {
      if (existsSync(directory)) throw wrong('it exists already, and nothing is overwritten');
    }),
    look('The statement will be in force', () => {
      if (now >= Date.parse(plan.not_after)) throw wrong(`it would have ended on ${plan.not_after}`);
    }),
    ...(previous
      ? [
          look(`It follows epoch ${previous.epoch} of ${previous.fleet}`, () => {
            if (previous.fleet !== plan.fleet) throw wrong(`the plan is for the fleet ${plan.fleet}`);
            if (plan.epoch !== previous.epoch + 1) throw wrong(`the plan is for epoch ${plan.epoch}`);
            if (plan.store_incarnation < previous.document.store_incarnation) throw wrong('the store’s incarnation would go back');
          }),
          look('Of every epoch that it still serves enough replicas are left', () => {
            const left = indices.filter((_, i) => plan.replicas[i]?.keys !== 'make');
            for (const { epoch, threshold, replicas } of earlierAfter(previous.document, plan.epochs_ended))
              if (replicas.filter(({ index }) => left.includes(index)).length < threshold)
                throw wrong(`fewer than ${threshold} of those of epoch ${epoch} keep their keys: name it in epochs_ended, or keep more`);
          }),
        ]
      : []),
    ...plan.replicas.map((replica, i) =>
      look(`${replica.name}: its configuration, PINs and attestation are there (keys: ${replica.keys})`, () => {
        checkReplica(replica, indices[i] as number);
        if (replica.initialise && replica.so_pin_file === undefined)
          throw wrong('a blank token is initialised with so_pin_file, which the plan lacks');
        const files = [replica.so_pin_file, replica.module_configuration?.file, ...replica.attestation];
        for (const file of files) if (file !== undefined) accessSync(loaded.path(file), constants.R_OK);
      }),
    ),
  ];
}

/** Throws CONFIG_INVALID naming everything that is not as it must be. */
export function requireAll(checks: readonly Precheck[]): void {
  const failed = checks.filter(({ problem }) => problem !== undefined);
  if (failed.length === 0) return;
  const list = failed.map(({ title, problem }) => `- ${title}: ${problem}`).join('\n');
  throw new VaultError('CONFIG_INVALID', `The ceremony does not begin:\n${list}`);
}

function look(title: string, check: () => void): Precheck {
  try {
    check();
    return { title, problem: undefined };
  } catch (error) {
    return { title, problem: (error as Error).message.replace(/\.$/, '') };
  }
}

const wrong = (why: string) => new VaultError('CONFIG_INVALID', why);
