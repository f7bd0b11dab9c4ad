import type { FaultPoint } from '../../daemon/fault-point.ts';
import type { Millis } from '../../primitives/brand.ts';
import type { Fault, FaultKind, Party } from './faults.ts';
import { Prng } from './prng.ts';

export interface Plan {
  readonly seed: number;
  readonly length: Millis;
  readonly replicas: number;
  readonly etcdMembers: number;
}

const STORM: Millis = 10_000;
const CALMER: Millis = 23_000;
const PAUSE: Millis = 1000; // before each of them: what the one before broke has healed

const points: readonly FaultPoint[] = [
  'before-commit',
  'after-commit',
  'before-guard-write',
  'between-guard-and-mark',
  'after-guard-write',
  'before-vote-reply',
  'before-evaluate',
  'before-reply',
];

/** Faults of one lane come one after the other, those of different lanes at the same time. */
type Lane = (random: Prng, plan: Plan) => { readonly fault: FaultKind; readonly for: Millis; readonly rest: Millis };

const RESTART: Millis = 3500; // until a replica that was killed serves again

const replicaLane: Lane = (random, { replicas }) => {
  const replica = random.integer(1, replicas);
  if (random.chance(0.5))
    return { fault: { kind: 'stop-replica', replica }, for: random.integer(200, 2000), rest: random.integer(800, 2500) };
  const dieAt = { point: random.pick(points), nth: random.integer(1, 25) };
  return { fault: { kind: 'kill-replica', replica, dieAt }, for: random.integer(100, 1000), rest: 2 * RESTART };
};

const etcdLane: Lane = (random) => {
  const who = random.pick(['leader', 'follower'] as const);
  const kind = random.weighted({ 'kill-etcd': 3, 'stop-etcd': 3, 'late-proposal': 2 });
  const fault: FaultKind = kind === 'late-proposal' ? { kind } : { kind, who };
  return { fault, for: random.integer(300, 2500), rest: random.integer(2500, 5000) };
};

const linkLane: Lane = (random, plan) => {
  const { from, to } = randomLink(random, plan);
  const rest = random.integer(50, 300);
  if (random.chance(0.4)) return { fault: { kind: 'reset-link', from, to }, for: random.chance(0.5) ? 0 : random.integer(200, 1500), rest };
  const direction = random.pick(['there', 'back'] as const);
  return { fault: { kind: 'cut-link', from, to, direction, thenBreak: random.chance(0.4) }, for: random.integer(100, 1800), rest };
};

const hostLane: Lane = (random, { replicas }) => {
  const replica = random.integer(1, replicas);
  const rest = random.integer(200, 800);
  const kind = random.weighted({ 'slow-disk': 3, 'full-disk': 2, 'broken-disk': 1, clock: 3, 'roll-back': 2 });
  switch (kind) {
    case 'slow-disk':
      return { fault: { kind, replica, flush: random.integer(20, 400) }, for: random.integer(500, 2500), rest };
    case 'full-disk':
    case 'broken-disk':
      return { fault: { kind, replica }, for: random.integer(200, 1200), rest };
    case 'clock':
      return { fault: { kind, replica, seconds: random.pick([-7200, -90, -10, 10, 90, 7200]) }, for: random.integer(1500, 4000), rest };
    case 'roll-back':
      return { fault: { kind }, for: 0, rest };
  }
};

const storm: readonly Lane[] = [replicaLane, etcdLane, linkLane, linkLane, hostLane];

/** Killed or stopped, one at a time, with time to see how soon the vault serves again. */
const alone: Lane = (random, { replicas }) => {
  const replica = random.integer(1, replicas);
  const kind = random.weighted({ 'kill-etcd': 1, 'stop-etcd': 1, 'kill-replica': 1, 'stop-replica': 1 });
  const lasting = { for: 3500, rest: 1500 };
  if (kind === 'kill-etcd' || kind === 'stop-etcd') return { fault: { kind, who: 'leader' }, ...lasting };
  if (kind === 'stop-replica') return { fault: { kind, replica }, ...lasting };
  return { fault: { kind, replica, dieAt: undefined }, for: 500, rest: RESTART };
};

/** All that will go wrong in a run, and when: the same for the same seed and length. Storms and calmer windows take turns. */
export function schedule(plan: Plan): Fault[] {
  const random = new Prng(plan.seed);
  const faults: Fault[] = [];
  for (let start = PAUSE, isStorm = true; start < plan.length; start += isStorm ? STORM : CALMER, isStorm = !isStorm) {
    const end = Math.min(start + (isStorm ? STORM : CALMER), plan.length) - PAUSE;
    for (const lane of isStorm ? storm : [alone]) faults.push(...run(lane, start, end, random.fork(), plan));
  }
  return faults.sort((a, b) => a.at - b.at);
}

function run(lane: Lane, start: Millis, end: Millis, random: Prng, plan: Plan): Fault[] {
  const faults: Fault[] = [];
  let at = start;
  for (;;) {
    const { fault, for: lasts, rest } = lane(random, plan);
    if (at + lasts > end) return faults;
    faults.push({ ...fault, at, for: lasts, alone: lane === alone });
    at += lasts + rest;
  }
}

/** Any connection of the fleet's, as who opened it sees it. */
function randomLink(random: Prng, { replicas, etcdMembers }: Plan): { from: Party; to: Party } {
  const replica = random.integer(1, replicas);
  const from = `replica-${replica}` as const;
  switch (random.weighted({ peer: 4, etcd: 3, frontend: 3 })) {
    case 'peer':
      return { from, to: `replica-${1 + ((replica + random.integer(0, replicas - 2)) % replicas)}` };
    case 'etcd':
      return { from, to: `etcd-${random.integer(0, etcdMembers - 1)}` };
    case 'frontend':
      return { from: 'frontend', to: from };
  }
}
