import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { randomBytes } from '@noble/hashes/utils.js';
import { Etcd3 } from 'etcd3';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { Authority, validityFrom } from '../../fleet/produce/authority.ts';
import { etcdClientSubject } from '../../fleet/produce/certificates.ts';
import type { TlsFiles } from '../../fleet/produce/etcd-tls.ts';
import { makeDirectory, writeIdentity } from '../../fleet/produce/files.ts';
import { probeReplica } from '../../fleet/replica-probe.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { storeFaults } from '../../protocol/store-fault.ts';
import { CODE } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

// The causes of docs/OPERATIONS.md, "etcd takes no attempts", each made in a real etcd and mended as written there.

let own: OwnFleet;
let root: TlsFiles;

const policy = { limit: 10, coolDownMs: 0 };
const newKey = () => new SecretBytes(randomBytes(32));

beforeAll(async () => {
  own = await startOwnFleet();
  const { etcd } = own.fleet;
  root = await etcd.tls.issueClient(makeDirectory(join(etcd.directory, 'root')), 'root');
  const device = own.world.device();
  await device.enroll({
    recordId: 'before',
    code: CODE,
    backupKey: new SecretBytes(randomBytes(32)),
    policy: { limit: 10, coolDownMs: 0 },
  });
});

afterEach(() => {
  for (const member of own.fleet.etcd.members) member.resume();
});

afterAll(() => own?.stop());

function etcdctl(...args: string[]): string {
  const { endpoints } = own.fleet.etcd;
  const { ca, cert, key } = root;
  const all = ['--endpoints', endpoints.join(), '--cacert', ca, '--cert', cert, '--key', key, ...args];
  return execFileSync('etcdctl', all, { env: { ...process.env, ETCDCTL_API: '3' }, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${own.fleet.replica(1).ports.metrics}/metrics`)).text();

/** The cause that the metrics name, or 'serving'. */
async function state(): Promise<string> {
  const text = await metrics();
  if (/^bkv_serving 1$/m.test(text)) return 'serving';
  return /bkv_store_fault\{cause="(\w+)"\} 1/.exec(text)?.[1] ?? 'not serving';
}

/** In gRPC health, as `bkvctl fleet status` shows it. */
async function health(): Promise<[string, string | undefined]> {
  const { addresses, tls } = own.fleet.client;
  const { health, problem } = await probeReplica(addresses[0] as string, tls);
  return [health, problem];
}

const log = () => own.fleet.replica(1).process.log();
/** For a cause in etcd: on a busy machine a token may be slow. */
const lossesSince = (before: string) =>
  log()
    .slice(before.length)
    .split('\n')
    .filter((line) => line.includes('not serving') && Object.values(storeFaults).some((meaning) => line.includes(meaning)));
const attempt = () => refusalOf(own.world.device().recover({ recordId: 'before', code: CODE, renew: false }));

test('a lost majority, and its return', async () => {
  const { members } = own.fleet.etcd;
  for (const member of members.slice(0, 2)) member.pause();
  expect(await eventually('no_quorum', state)).toBe('no_quorum');
  expect(await health()).toEqual(['NOT_SERVING', storeFaults.no_quorum]);
  expect(log()).toContain(storeFaults.no_quorum);
  for (const member of members.slice(0, 2)) member.resume();
  expect(await eventually('serving', state)).toBe('serving');
  expect(await health()).toEqual(['SERVING', undefined]);
});

test('one member that hangs only as a number', async () => {
  const before = log();
  const [member] = own.fleet.etcd.members;
  member?.pause();
  const answering = async () => /bkv_store_members\{kind="answering"\} (\d)/.exec(await metrics())?.[1];
  expect(await eventually('2', answering)).toBe('2');
  expect(lossesSince(before)).toEqual([]);
  member?.resume();
  expect(await eventually('3', answering)).toBe('3');
});

test('no space left, until the alarm is disarmed', async () => {
  const { ca, cert, key } = root;
  const credentials = { rootCertificate: readFileSync(ca), certChain: readFileSync(cert), privateKey: readFileSync(key) };
  const client = new Etcd3({ hosts: [...own.fleet.etcd.endpoints], credentials });
  const { header } = await client.maintenance.status();
  await client.maintenance.alarm({ action: 'Activate', memberID: header.member_id, alarm: 'Nospace' });
  client.close();
  expect(await eventually('no_space', state)).toBe('no_space');
  expect(await health()).toEqual(['NOT_SERVING', storeFaults.no_space]);
  for (let i = 0; i < 12; i++) expect(await refusalOf(own.world.etcd.rehearse())).toBe('STORE_UNAVAILABLE');
  await own.world.etcd.read('meta/incarnation'); // reads go on, however many writes were refused
  expect(await attempt()).toBe('STORE_UNAVAILABLE');
  etcdctl('alarm', 'disarm');
  expect(await eventually('serving', state)).toBe('serving');
  await own.world.device().recover({ recordId: 'before', code: CODE, renew: false });
});

test('a role that only reads, until it may write again', async () => {
  const { fleet } = own.fleet.client;
  const [prefix, end] = [`/bkv/${fleet}/`, `/bkv/${fleet}0`];
  etcdctl('role', 'add', 'bkv');
  etcdctl('role', 'grant-permission', 'bkv', 'readwrite', prefix, end);
  etcdctl('user', 'add', 'root', '--no-password');
  etcdctl('user', 'grant-role', 'root', 'root');
  const { etcd } = parse(readFileSync(own.fleet.replica(1).place.config, 'utf8'));
  const certificate = join(own.fleet.replica(1).place.directory, etcd.tls.cert);
  const user = /CN=(.+)/.exec(new X509Certificate(readFileSync(certificate)).subject)?.[1] as string;
  etcdctl('user', 'add', user, '--no-password');
  etcdctl('user', 'grant-role', user, 'bkv');
  const before = log();
  etcdctl('auth', 'enable');
  await delay(3000); // for what must not happen
  expect(lossesSince(before)).toEqual([]); // with the right role nothing changes

  etcdctl('role', 'grant-permission', 'bkv', 'read', prefix, end);
  expect(await eventually('permission_denied', state)).toBe('permission_denied');
  expect(await health()).toEqual(['NOT_SERVING', storeFaults.permission_denied]);
  etcdctl('role', 'grant-permission', 'bkv', 'readwrite', prefix, end);
  expect(await eventually('serving', state)).toBe('serving');
  etcdctl('auth', 'disable');
});

test('nothing of a compaction: nobody asks for what was', async () => {
  const before = log();
  const device = own.world.device();
  await device.enroll({ recordId: 'compacted', code: CODE, backupKey: newKey(), policy });
  for (let i = 0; i < policy.limit; i++) {
    expect(await refusalOf(device.recover({ recordId: 'compacted', code: `wrong ${i}`, renew: false }))).toBe('WRONG_CODE');
    const [{ Status }] = JSON.parse(etcdctl('endpoint', 'status', '--write-out=json'));
    etcdctl('compact', '--physical', String(Status.header.revision));
  }
  expect(await device.describe('compacted')).toMatchObject({ state: 'exhausted' });
  etcdctl('defrag');
  expect(lossesSince(before)).toEqual([]);
});

test('a certificate that etcd does not accept, at the start', async () => {
  const { place, process } = own.fleet.replica(1);
  const authority = await Authority.create('stranger', validityFrom(Date.now()));
  const stranger = writeIdentity(
    makeDirectory(join(place.directory, 'stranger')),
    'etcd',
    await authority.issue(etcdClientSubject('stranger')),
  );
  const config = readFileSync(place.config, 'utf8');
  const changed = parse(config);
  Object.assign(changed.etcd.tls, stranger);
  await process.stop();
  writeFileSync(place.config, stringify(changed));
  await process.launch();
  await process.exited();
  expect(process.logTail(2)).toContain(storeFaults.certificate_refused);
  writeFileSync(place.config, config);
  await process.start();
});
