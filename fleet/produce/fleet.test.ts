import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { p256 } from '@noble/curves/nist.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../daemon/config.ts';
import { toHex } from '../../primitives/bytes.ts';
import { parseStatement } from '../../protocol/statement.ts';
import { loadClientFile } from '../client-file.ts';
import { produceFleet } from './fleet.ts';
import type { FleetPlan } from './fleet-plan.ts';
import type { Provisioned } from './token-reading.ts';

let parent: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'bkv-produce-'));
});

afterEach(() => rmSync(parent, { recursive: true }));

const point = () => toHex(p256.getPublicKey(p256.utils.randomSecretKey(), true));

/** A token's public part, without a token. */
const softToken = async (): Promise<Provisioned> => ({
  oprf_key: point(),
  release_key: point(),
  receipt_key: point(),
  token: { manufacturer: 'test', model: 'none', serial: toHex(randomBytes(8)), firmware: '1.0' },
  key_attributes: {},
});

const plan = (changes: Partial<FleetPlan> = {}): FleetPlan => ({
  directory: join(parent, 'fleet'),
  fleet: 'west',
  tenant: 'acme',
  threshold: 2,
  ports: [1, 2, 3].map((i) => ({ frontend: 7000 + i, peer: 7100 + i, metrics: 7200 + i })),
  etcdEndpoints: ['https://localhost:2379'],
  profile: 'softhsm2',
  settings: { erase_grace_ms: 1000, bounds: { limit_most: 20 } },
  software: { version: '0.0.0', digest: 'test' },
  provision: softToken,
  progress: () => {},
  now: Date.now(),
  ...changes,
});

test('every replica gets a configuration that its daemon accepts', async () => {
  const { replicas, directory } = await produceFleet(plan());
  const configs = replicas.map(({ config }) => loadConfig(config));
  expect(configs.map(({ replica }) => replica)).toEqual([1, 2, 3]);
  expect(configs[1]).toMatchObject({
    listen: { frontend: '127.0.0.1:7002', peer: '127.0.0.1:7102', metrics: '127.0.0.1:7202' },
    peers: [
      { index: 1, address: 'localhost:7101' },
      { index: 3, address: 'localhost:7103' },
    ],
    statement: join(directory, 'statement.json'),
    token: { label: 'west-2' },
    erase_grace_ms: 1000,
    bounds: { limit_most: 20, cool_down_least_ms: 0 },
  });
  for (const { tls, etcd, token, tenants, statement } of configs)
    for (const file of [
      ...[tls.frontend, tls.peer, etcd.tls].flatMap(({ cert, key, ca }) => [cert, key, ca]),
      ...[token.pin_file, statement, ...tenants.flatMap(({ grant_keys }) => grant_keys.map((key) => key.file))],
    ])
      expect(existsSync(file), file).toBe(true);
});

test('client file and statement fit each other', async () => {
  const { clientFile, directory, statement } = await produceFleet(plan());
  const client = loadClientFile(clientFile);
  expect(client).toMatchObject({ fleet: 'west', tenant: 'acme', addresses: ['localhost:7001', 'localhost:7002', 'localhost:7003'] });
  const written = parseStatement(readFileSync(join(directory, 'statement.json')));
  expect(client.statement_hashes).toEqual([toHex(written.hash)]);
  expect(written.hash).toEqual(statement.hash);
  expect(written).toMatchObject({ fleet: 'west', epoch: 1, threshold: 2 });
  const privateKey = createPrivateKey(readFileSync(client.grant.key));
  const publicKey = createPublicKey(readFileSync(join(directory, 'tenant/grant.pub')));
  expect(createPublicKey(privateKey).equals(publicKey)).toBe(true);
});

test('replicas are run by whom the plan names, the others by one who is called as the fleet', async () => {
  const { statement } = await produceFleet(plan({ operators: { 2: 'east.example' } }));
  expect(statement.replicas.map(({ operator }) => operator)).toEqual(['west', 'east.example', 'west']);
  for (const operators of [{ 4: 'east' }, { 1: 'East' }, { 1: '' }])
    await expect(produceFleet(plan({ directory: join(parent, 'other'), operators }))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  expect(existsSync(join(parent, 'other'))).toBe(false);
});

test('secrets are their owner’s alone', async () => {
  const { directory } = await produceFleet(plan());
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const mode = (path: string) => statSync(path).mode & 0o777;
  expect(mode(directory)).toBe(0o700);
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) expect(mode(path), path).toBe(0o700);
    else if (/\.key$|pin$/.test(entry.name)) expect(mode(path), path).toBe(0o600);
  }
  expect(entries.filter(({ name }) => /\.key$|pin$/.test(name)).length).toBeGreaterThan(10);
});

test('two replicas have two PINs', async () => {
  const { replicas } = await produceFleet(plan());
  const pins = replicas.flatMap(({ directory }) => ['pin', 'so-pin'].map((name) => readFileSync(join(directory, name), 'utf8')));
  expect(new Set(pins).size).toBe(6);
});

test('a token that is there already keeps its label and its PIN, and is not initialised', async () => {
  const blank: boolean[] = [];
  const provision: FleetPlan['provision'] = async (_place, soPinFile) => {
    blank.push(soPinFile !== undefined && existsSync(soPinFile));
    return softToken();
  };
  const pinFile = join(parent, 'partition.pin');
  const { replicas } = await produceFleet(plan({ provision, ownTokens: { 2: { label: 'partition', pinFile } } }));
  expect(blank).toEqual([true, false, true]);
  expect(replicas.map(({ config }) => loadConfig(config).token)).toMatchObject([
    { label: 'west-1' },
    { label: 'partition', pin_file: pinFile },
    { label: 'west-3' },
  ]);
  expect(readdirSync(join(parent, 'fleet/replica-2')).filter((name) => name.includes('pin'))).toEqual([]);
});

describe('all or nothing', () => {
  test('a token that fails leaves no directory behind', async () => {
    let count = 0;
    const provision = async () => {
      if (++count === 3) throw new Error('the token is full');
      return softToken();
    };
    await expect(produceFleet(plan({ provision }))).rejects.toThrow('the token is full');
    expect(existsSync(join(parent, 'fleet'))).toBe(false);
  });

  test('two replicas on one token are no fleet', async () => {
    const same = await softToken();
    await expect(produceFleet(plan({ provision: async () => same }))).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
    expect(existsSync(join(parent, 'fleet'))).toBe(false);
  });

  test('what is there already is left as it is', async () => {
    writeFileSync(join(parent, 'fleet'), 'mine');
    await expect(produceFleet(plan())).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(readFileSync(join(parent, 'fleet'), 'utf8')).toBe('mine');
  });
});

test.each<[string, Partial<FleetPlan>]>([
  ['two replicas', { ports: [] }],
  ['a threshold that is no majority', { threshold: 1 }],
  ['a threshold above n', { threshold: 4 }],
  ['a fleet with a long name', { fleet: 'x'.repeat(30) }],
  ['a tenant in capitals', { tenant: 'Acme' }],
  ['a token of no replica', { ownTokens: { 4: { label: 'partition', pinFile: 'pin' } } }],
])('refuses %s before it makes anything', async (_what, changes) => {
  await expect(produceFleet(plan(changes))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  expect(existsSync(join(parent, 'fleet'))).toBe(false);
});
