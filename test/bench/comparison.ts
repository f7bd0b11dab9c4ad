import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeQuietly, openReplicaIn, type ReplicaToken } from '../../daemon/token/keys/replica.ts';
import { findSlot, openModule } from '../../daemon/token/pkcs11/module.ts';
import { evaluate, offer, prepare, release } from '../../daemon/token/steps.ts';
import { sign } from '../../daemon/token/verify.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { ownCpu } from '../harness/process-usage.ts';
import { LandedToken } from './landed-token.ts';
import { RawToken } from './raw-token.ts';
import { medianOf } from './statistics.ts';
import type { TokenRounds } from './token-bench.ts';
import type { Requests, TokenStage } from './token-stage.ts';

/** One step of the protocol at one replica, with wrapped keys (`landed`) and with tweaks (`now`). */
export interface ComparedStep {
  readonly id: 'evaluation' | 'daemon' | 'recovery' | 'enrolment';
  readonly name: string;
  readonly landed: Cost;
  readonly now: Cost;
  /** CPU: the median over turns that follow each other. */
  readonly ratio: number;
  /** What the ratio is to be at most. */
  readonly aim?: number;
}

interface Cost {
  /** µs: the median over turns of a turn's mean. */
  readonly cpu: number;
  /** Into the module, counted. */
  readonly calls: number;
}

interface Step extends Pick<ComparedStep, 'id' | 'name' | 'aim'> {
  readonly landed: (token: LandedToken) => void;
  /** The daemon's code, in this thread. */
  readonly daemon: (token: ReplicaToken, requests: Requests) => void;
  /** The bare calls, with what the host computes for them or without, where nothing else is to be measured. */
  readonly raw?: (token: RawToken) => void;
}

const landedEvaluation = (token: LandedToken): void => {
  token.verifyMac();
  token.evaluate();
  token.sign();
};

const steps: readonly Step[] = [
  {
    id: 'evaluation',
    name: 'evaluation, from MAC to receipt: token and host',
    aim: 0.55,
    landed: landedEvaluation,
    daemon: (token, requests) => evaluate(token, requests.evaluate),
    raw: (token) => token.evaluate(),
  },
  {
    id: 'daemon',
    name: 'the same, now by the daemon’s code',
    landed: landedEvaluation,
    daemon: (token, requests) => evaluate(token, requests.evaluate),
  },
  {
    id: 'recovery',
    name: 'recovery, from vote to release: the token alone',
    aim: 0.65,
    landed: (token) => {
      token.sign();
      token.verifyMac();
      token.derive();
      token.sign();
      token.release();
    },
    daemon: (token, requests) => {
      sign(token, requests.sign);
      evaluate(token, requests.evaluate);
      release(token, requests.release);
    },
    raw: (token) => {
      token.sign();
      token.evaluateInToken();
      token.releaseInToken();
    },
  },
  {
    id: 'enrolment',
    name: 'enrolment, from offer to live, now by the daemon’s code',
    landed: (token) => {
      token.offer();
      token.prepare();
      token.sign();
    },
    daemon: (token, requests) => {
      offer(token, requests.offer);
      prepare(token, requests.prepare);
      sign(token, requests.sign);
    },
  },
];

/** In turns, `calls` of a step each, so that a drift of the machine meets both alike. */
export function compareWithLanded(stage: TokenStage, { warmUp, rounds, calls }: Omit<TokenRounds, 'inFlight'>): ComparedStep[] {
  const { token, location, requests } = stage;
  const counted = countCalls(stage);
  const landed = new LandedToken(token.module, findSlot(token.module, location.tokenLabel));
  const raw = new RawToken(stage);
  const turn = (length: number) =>
    steps.map((step) => ({
      landed: cpuOfTurn(length, () => step.landed(landed)),
      now: cpuOfTurn(length, () => (step.raw ? step.raw(raw) : step.daemon(token, requests))),
    }));
  turn(warmUp);
  const turns = Array.from({ length: rounds }, () => turn(calls));
  const compared = steps.map(({ id, name, aim }, i) => {
    const measured = turns.map((each) => each[i] as (typeof each)[number]);
    return {
      id,
      name,
      ...(aim === undefined ? {} : { aim }),
      landed: { cpu: medianOf(measured.map((each) => each.landed)), calls: counted[id].landed },
      now: { cpu: medianOf(measured.map((each) => each.now)), calls: counted[id].now },
      ratio: medianOf(measured.map((each) => each.now / each.landed)),
    };
  });
  raw.close();
  landed.close();
  return compared;
}

/** µs per call. */
function cpuOfTurn(calls: number, work: () => void): number {
  const before = ownCpu();
  for (let call = 0; call < calls; call++) work();
  return ((ownCpu() - before) * 1000) / calls;
}

type Counts = Record<ComparedStep['id'], { readonly landed: number; readonly now: number }>;

/** Where they arrive: a shim (test/harness/fault-shim.c) stands in front of the module that this process has open already. */
function countCalls({ location, requests }: TokenStage): Counts {
  const directory = mkdtempSync(join(tmpdir(), 'bkv-shim-'));
  try {
    Object.assign(process.env, behindShim(location.module));
    const faults = new Faults(process.env.SOFTHSM2_CONF as string);
    const module = openModule({ ...location, module: compileFaultShim(directory) });
    const token = openReplicaIn(module, location, undefined);
    const landed = new LandedToken(module, findSlot(module, location.tokenLabel));
    const callsOf = (work: () => void) => {
      const before = faults.calls();
      work();
      return faults.calls() - before;
    };
    const counts = steps.map(({ id, landed: old, daemon }) => {
      const both = { landed: callsOf(() => old(landed)), now: callsOf(() => daemon(token, requests)) };
      return [id, both] as const;
    });
    landed.close();
    closeQuietly(token.session);
    return Object.fromEntries(counts) as Counts;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
