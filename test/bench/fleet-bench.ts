import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import { generateCode } from '../../client/code-generator.ts';
import { maskKey, wasmArgon2id } from '../../client/stretch.ts';
import type { VaultClient } from '../../client/vault-client.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { DevFleet } from '../harness/dev-fleet.ts';
import { cpuOf, residentMiB } from '../harness/process-usage.ts';
import { openDevices } from './devices.ts';
import { type LoadResult, measureLoad, type Parties } from './load.ts';
import { medianOf } from './statistics.ts';

export interface FleetRun {
  /** Operations one after the other. */
  readonly sequential: number;
  /** Operations with `atOnce` under way. */
  readonly concurrent: number;
  readonly atOnce: number;
  /** Recoveries before anything is measured: replicas run for months, so what counts is compiled code. */
  readonly warmUp: number;
  /** Seconds during which nobody asks for anything. */
  readonly restSeconds: number;
}

export interface FleetResults {
  readonly replicas: number;
  readonly threshold: number;
  readonly etcdMembers: number;
  readonly enrolment: { readonly alone: LoadResult; readonly together: LoadResult };
  readonly recovery: { readonly alone: LoadResult; readonly together: LoadResult };
  /** With the re-enrolment that follows a recovery unless it is switched off. */
  readonly recoveryAndRenewal: LoadResult;
  /** Bytes of value in etcd for a record that was just enrolled. */
  readonly etcdBytesPerRecord: number;
  /** Of the replica with most. */
  readonly residentMiB: { readonly started: number; readonly afterLoad: number };
  /** CPU of all replicas in a second without requests, in ms. */
  readonly restingCpu: number;
  /** Stretching what three holders answered, on this machine, ms of wall time. */
  readonly stretching: number;
}

interface Account {
  readonly recordId: string;
  readonly code: string;
  readonly backupKey: SecretBytes;
}

export async function benchFleet(run: FleetRun, progress: (step: string) => void): Promise<FleetResults> {
  const fleet = await DevFleet.start({ progress, settings: { log_level: 'info' } });
  try {
    return await measureFleet(fleet, run, progress);
  } finally {
    await fleet.stop();
  }
}

async function measureFleet(fleet: DevFleet, run: FleetRun, progress: (step: string) => void): Promise<FleetResults> {
  const parties: Parties = {
    replicas: fleet.replicas.map(({ process }) => process.pid as number),
    etcd: fleet.etcd.members.map(({ pid }) => pid as number),
  };
  const devices = openDevices(fleet);
  const deviceFor = (i: number) => devices[i % devices.length] as VaultClient;
  const mostResident = () => Math.max(...parties.replicas.map(residentMiB));

  progress('resting');
  const started = mostResident();
  const restingCpu = await restingCpuOf(parties, run.restSeconds);

  const accounts = newAccounts(run.sequential + run.concurrent, 'account');
  const [alone, together] = [accounts.slice(0, run.sequential), accounts.slice(run.sequential)];
  const measure = async (
    what: string,
    group: readonly Account[],
    atOnce: number,
    work: (device: VaultClient, account: Account) => Promise<void>,
  ) => {
    progress(`${what} ${group.length} accounts, ${atOnce} at once`);
    return measureLoad(parties, { operations: group.length, atOnce }, (i) => work(deviceFor(i), group[i] as Account));
  };
  progress('warming up');
  await warmUp(devices, run);

  const enrolment = {
    together: await measure('enrolling', together, run.atOnce, enrol),
    alone: await measure('enrolling', alone, 1, enrol),
  };
  const stored = alone.slice(0, 20).map(({ recordId }) => fleet.rid(recordId));
  const etcdBytesPerRecord = medianOf(await Promise.all(stored.map((rid) => fleet.store.size(rid))));
  const recovery = {
    together: await measure('recovering', together, run.atOnce, recover),
    alone: await measure('recovering', alone, 1, recover),
  };
  const recoveryAndRenewal = await measure('recovering and renewing', alone, 1, recoverAndRenew);
  progress('resting');
  await delay(run.restSeconds * 1000);
  return {
    replicas: fleet.replicas.length,
    threshold: fleet.statement.threshold,
    etcdMembers: fleet.etcd.members.length,
    enrolment,
    recovery,
    recoveryAndRenewal,
    etcdBytesPerRecord,
    residentMiB: { started, afterLoad: mostResident() },
    restingCpu,
    stretching: await stretchingTime(),
  };
}

const newAccounts = (count: number, name: string): Account[] =>
  Array.from({ length: count }, (_, i) => ({
    recordId: `${name}-${i}`,
    code: generateCode(), // no check of codes finds a word, a date or a pattern in it
    backupKey: new SecretBytes(randomBytes(32)),
  }));

const MOST_ATTEMPTS = 10;

async function enrol(device: VaultClient, { recordId, code, backupKey }: Account): Promise<void> {
  await device.enroll({ recordId, code, backupKey, policy: { limit: MOST_ATTEMPTS, coolDownMs: 0 } });
}

const recover = (device: VaultClient, account: Account) => recoverWith(device, account, false);
const recoverAndRenew = (device: VaultClient, account: Account) => recoverWith(device, account, true);

/** A recovery counts only if it gave the key back. */
async function recoverWith(device: VaultClient, { recordId, code, backupKey }: Account, renew: boolean): Promise<void> {
  const recovered = await device.recover({ recordId, code, renew });
  if (!constantTimeEqual(recovered.backupKey.expose(), backupKey.expose())) throw new Error(`${recordId} got another key back`);
  const { state } = recovered.renewal;
  if (state !== (renew ? 'renewed' : 'skipped')) throw new Error(`the renewal of ${recordId} is ${state}`);
}

/** Connections are made, and code is compiled, before anything is measured. */
async function warmUp(devices: readonly VaultClient[], { warmUp, atOnce }: FleetRun): Promise<void> {
  const limit = pLimit(atOnce);
  const accounts = newAccounts(Math.ceil(warmUp / MOST_ATTEMPTS), 'warm-up');
  const once = async (account: Account, i: number) => {
    const device = devices[i % devices.length] as VaultClient;
    await enrol(device, account);
    for (let attempt = 1; attempt < MOST_ATTEMPTS; attempt++) await recover(device, account);
  };
  await Promise.all(accounts.map((account, i) => limit(once, account, i)));
}

async function restingCpuOf({ replicas }: Parties, seconds: number): Promise<number> {
  const before = cpuOf(replicas);
  await delay(seconds * 1000);
  return (cpuOf(replicas) - before) / seconds;
}

async function stretchingTime(): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    const [rid, g] = [new Uint8Array(32), new Uint8Array(16)];
    for (const index of [1, 2, 3]) await maskKey(new Uint8Array(32), { rid, g, index, holders: 3 }, wasmArgon2id);
    times.push(performance.now() - start);
  }
  return medianOf(times);
}
