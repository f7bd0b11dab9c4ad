import type { Millis } from '../../primitives/brand.ts';
import { refuse } from './checks.ts';
import { IN_FORCE_TYPE, type InForce, inForceSchema } from './in-force.ts';

// What a checkpoint says of each fleet in an extension line (c2sp.org/tlog-checkpoint): the newest epoch in force. The log's signature and
// every cosignature with Ed25519 cover it. It follows from the log's entries alone, so that whoever reads them can tell a wrong one.

export interface Newest {
  readonly fleet: string;
  readonly epoch: number;
  /** From then on older epochs are refused. */
  readonly refuseOlderFrom: Millis;
  /** Until then, epochs below this one: that which was in force before, or 1. */
  readonly least: number;
}

/** Of each fleet, sorted by name, from all that the log puts in force, in the log's order. */
export function newestOf(all: readonly InForce[]): Newest[] {
  const newest = new Map<string, Newest>();
  for (const { fleet, epoch, refuseOlderFrom } of all) {
    const before = newest.get(fleet);
    // The same epoch again can only be to refuse older ones sooner.
    const least = before === undefined ? 1 : epoch === before.epoch ? before.least : before.epoch;
    newest.set(fleet, { fleet, epoch, refuseOlderFrom, least });
  }
  return [...newest.values()].sort((a, b) => (a.fleet < b.fleet ? -1 : 1));
}

export const formatNewest = ({ fleet, epoch, refuseOlderFrom, least }: Newest): string =>
  `${IN_FORCE_TYPE} ${fleet} ${epoch} ${toSeconds(refuseOlderFrom)} ${least}`;

/** The line of one fleet; lines of other kinds are not looked at. Throws FLEET_UNTRUSTED: checkpoint-malformed. */
export function newestIn(extensions: readonly string[], fleet: string): Newest | undefined {
  const all = extensions.filter((line) => line.startsWith(`${IN_FORCE_TYPE} `)).map(parseNewest);
  const [found, second] = all.filter((one) => one.fleet === fleet);
  if (second) throw refuse('checkpoint-malformed', `The checkpoint names two newest epochs of ${fleet}.`);
  return found;
}

function parseNewest(line: string): Newest {
  const [, fleet = '', epoch, time, least] = line.split(' ');
  const newest = { fleet, epoch: Number(epoch), refuseOlderFrom: Date.parse(time ?? ''), least: Number(least) };
  const { shape } = inForceSchema;
  const fits =
    shape.fleet.safeParse(fleet).success &&
    shape.epoch.safeParse(newest.epoch).success &&
    shape.refuse_older_from.safeParse(time).success &&
    shape.epoch.safeParse(newest.least).success &&
    newest.least <= newest.epoch;
  if (!fits || formatNewest(newest) !== line) throw refuse('checkpoint-malformed', `The checkpoint has a line that is none: ${line}`);
  return newest;
}

/** RFC 3339 in UTC without fractions. */
export const toSeconds = (time: Millis): string => new Date(time).toISOString().replace(/\.\d{3}Z$/, 'Z');
