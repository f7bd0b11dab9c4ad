import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReplicaLocation } from '../../daemon/token/keys/replica.ts';
import { openToken } from '../../daemon/token/open-token.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { storedPin } from '../harness/test-token.ts';

/** As far away as an HSM in the same data center. */
const LATENCY_MS = 2;

export interface SessionsResult {
  readonly sessions: number;
  /** Calls of one MAC into the module, counted. */
  readonly callsEach: number;
  readonly perSecond: number;
  /** sessions / (calls × latency) */
  readonly ideal: number;
  /** How long it takes until the token answers that logged everybody out: so many calls, one after the other. */
  readonly healing: number;
}

/**
 * MACs through the port from a token each of whose calls takes 2 ms (test/harness/fault-shim.c). MACs, since the token here shares the
 * machine's cores with us: it could not keep up with evaluations however few calls were waiting (docs/BENCHMARKS.md).
 */
export async function benchSessions(location: ReplicaLocation, sessions: number, seconds: number): Promise<SessionsResult> {
  const directory = mkdtempSync(join(tmpdir(), 'bkv-shim-'));
  const shim = compileFaultShim(directory);
  Object.assign(process.env, behindShim(location.module));
  const faults = new Faults(process.env.SOFTHSM2_CONF as string);
  const profile = { ...location.profile, workers: sessions };
  const token = await openToken({ ...location, profile, module: shim, pin: storedPin });
  try {
    const digest = new Uint8Array(32);
    const before = faults.calls();
    await token.mac(digest);
    const callsEach = faults.calls() - before;

    faults.set(`latency ${LATENCY_MS * 1000}`);
    const lanes = 2 * sessions;
    await inLanes(lanes, performance.now() + Math.min(seconds, 3) * 1000, () => token.mac(digest)); // 32 isolates compile, each for itself
    const began = performance.now();
    const made = await inLanes(lanes, began + seconds * 1000, () => token.mac(digest));
    const perSecond = (made * 1000) / (performance.now() - began);

    faults.set(`latency ${LATENCY_MS * 1000}`, 'log-out');
    const lost = performance.now();
    await token.mac(digest);
    const healing = (performance.now() - lost) / LATENCY_MS;
    return { sessions, callsEach, perSecond, ideal: (sessions * 1000) / (callsEach * LATENCY_MS), healing };
  } finally {
    faults.none();
    await token.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** How many calls were made until then. */
async function inLanes(lanes: number, until: number, call: () => Promise<unknown>): Promise<number> {
  let made = 0;
  const lane = async () => {
    for (; performance.now() < until; made++) await call();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return made;
}
