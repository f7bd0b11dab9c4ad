import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { DAY, planDocument, type SoftWorld, softCeremony, softReading, softWorld } from '../../test/trust/soft-evidence.ts';
import { hexHash } from '../verify/files.ts';
import type { CeremonyPlan } from '../verify/plan.ts';
import { verifyTranscript } from '../verify/transcript.ts';
import { hashWords } from '../verify/words.ts';
import { type PrecheckOptions, precheck, requireAll } from './checks.ts';
import { holdCeremony } from './hold.ts';
import { loadPlan } from './load-plan.ts';
import { participate } from './participate.ts';
import { roomScript } from './script.ts';

let world: SoftWorld;
let count = 0;

beforeAll(async () => {
  world = await softWorld();
});

afterAll(() => world.remove());

const planFile = (changes: Partial<CeremonyPlan> | Record<string, unknown> = {}): string => {
  const file = join(world.directory, `plan-${++count}.yaml`);
  writeFileSync(file, stringify({ ...planDocument(world), ...changes }));
  return file;
};

const clock = { now: () => world.now, monotonic: () => 0, sleep: async () => {} };
const newDirectory = () => join(world.directory, `held-${++count}`);
const hold = (directory: string, readToken = async (_: unknown, index: number) => softReading(index)) =>
  holdCeremony({ loaded: loadPlan(planFile()), directory, readToken, clock, progress: () => {} });

test('nothing that is there is overwritten, and no key is made for it', async () => {
  const directory = newDirectory();
  mkdirSync(directory);
  let made = 0;
  const ceremony = hold(directory, async (_, index) => {
    made++;
    return softReading(index);
  });
  await expect(ceremony).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  expect({ made, there: readdirSync(directory) }).toEqual({ made: 0, there: [] });
});

test('a ceremony that breaks off leaves what it did, and says why', async () => {
  const directory = newDirectory();
  const ceremony = hold(directory, async (_, index) => {
    if (index === 2) throw new Error('the token is full');
    return softReading(index);
  });
  await expect(ceremony).rejects.toThrow('the token is full');
  const { lines } = verifyTranscript(readFileSync(join(directory, 'transcript.jsonl')));
  expect(lines.map(({ event }) => event)).toEqual([
    ...['ceremony-begun', 'participants-named', 'software-named', 'token-read', 'keys-made', 'attributes-read', 'attestation'],
    'ceremony-failed',
  ]);
  expect(lines.at(-1)?.data.why).toBe('the token is full');
  expect(existsSync(join(directory, 'statement.json'))).toBe(false);
});

test('a token whose keys may leave makes no statement', async () => {
  const directory = newDirectory();
  const ceremony = hold(directory, async (_, index) => {
    const reading = softReading(index);
    if (index === 3) (reading.key_attributes.mac as Record<string, boolean>).extractable = true;
    return reading;
  });
  await expect(ceremony).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED', details: { check: 'attributes-unsafe' } });
  expect(existsSync(join(directory, 'statement.json'))).toBe(false);
});

test('what no client would accept as a statement is told, too, and nothing is sealed', async () => {
  const directory = newDirectory();
  const one = softReading(1);
  await expect(
    hold(directory, async (_, index) => (index === 1 ? one : { ...softReading(index), token: one.token })),
  ).rejects.toMatchObject({
    code: 'FLEET_UNTRUSTED',
    details: { check: 'duplicate-serial' },
  });
  const { lines } = verifyTranscript(readFileSync(join(directory, 'transcript.jsonl')));
  expect(lines.at(-1)).toMatchObject({ event: 'ceremony-failed', data: { why: expect.stringContaining('token serial') } });
  expect(existsSync(join(directory, 'manifest.json'))).toBe(false);
});

test('a participant signs once, with the planned key, and agrees to nothing that is broken', async () => {
  const directory = newDirectory();
  await hold(directory);
  const own = world.participants.get('auditor') ?? world.participants.get('witness');
  const stranger = world.participants.get('operator');
  if (!own || !stranger) throw new Error('the world has no such participants');
  const sign = (changes: object) =>
    participate({ directory, name: 'witness', signer: own, verdict: 'agree', exceptions: [], now: world.now, ...changes });
  expect(() => sign({ signer: stranger })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(() => sign({ name: 'nobody' })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  sign({});
  expect(() => sign({ verdict: 'disagree' })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));

  writeFileSync(join(directory, 'software.json'), '{}');
  const custodian = world.participants.get('custodian-1');
  expect(() => sign({ name: 'custodian-1', signer: custodian })).toThrow(expect.objectContaining({ code: 'FLEET_UNTRUSTED' }));
  expect(sign({ name: 'custodian-1', signer: custodian, verdict: 'disagree', exceptions: ['A file was changed.'] }).verdict).toBe(
    'disagree',
  );
});

test('the plan is held against itself before anything begins', () => {
  const { replicas, participants } = planDocument(world);
  for (const wrong of [
    { threshold: 1 },
    { epoch: 2 },
    { previous: 'statement.json' },
    { replicas: replicas.slice(1) },
    { replicas: [replicas[0], replicas[0], replicas[1]] },
    { participants: participants.slice(0, 1) },
    { participants: [participants[0], { ...participants[1], public_key: participants[0]?.public_key }] },
    { not_after: '2020-01-01T00:00:00Z' },
    { surprise: true },
    { replicas: replicas.map((replica) => ({ ...replica, keys: 'rotate' })) },
  ])
    expect(() => loadPlan(planFile(wrong)), JSON.stringify(wrong)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(() => loadPlan(join(world.directory, 'nowhere.yaml'))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});

test('the statement names who runs each replica, as the plan does', async () => {
  const [first, ...others] = planDocument(world).replicas;
  const replicas = [{ ...first, operator: 'east.example' }, ...others] as CeremonyPlan['replicas'];
  const { statement } = await softCeremony(world, { plan: { replicas } });
  expect(statement.replicas.map(({ operator }) => operator)).toEqual(['east.example', 'west', 'west']);
});

test('what is missing is found before anything is made', async () => {
  const { directory, statement } = await softCeremony(world);
  const options: PrecheckOptions = { directory: newDirectory(), now: world.now, checkReplica: () => {} };
  const problems = (plan: object, changes: Partial<PrecheckOptions> = {}) =>
    precheck(loadPlan(planFile(plan)), { ...options, ...changes }).flatMap(({ problem }) => problem ?? []);
  const keep = planDocument(world).replicas.map(({ so_pin_file: _none, ...replica }) => ({
    ...replica,
    initialise: false,
    keys: 'keep' as const,
  }));

  expect(problems({ replicas: keep })).toEqual([]);
  expect(problems({}).join()).toContain('so-pin');
  expect(problems({ replicas: keep }, { directory })).toEqual(['it exists already, and nothing is overwritten']);
  expect(problems({ replicas: keep }, { now: world.now + 400 * DAY })).toHaveLength(1);
  const next = { previous: join(directory, 'statement.json'), replicas: keep };
  expect(problems({ ...next, epoch: statement.epoch + 1 })).toEqual([]);
  expect(problems({ ...next, epoch: statement.epoch + 2 })).toEqual([`the plan is for epoch ${statement.epoch + 2}`]);
  const rotate = keep.map((replica) => ({ ...replica, keys: 'rotate' as const }));
  expect(problems({ ...next, epoch: 2, replicas: rotate })).toEqual([]); // without the officer's PIN
  const blank = keep.map((replica) => ({ ...replica, keys: 'make' as const, initialise: true }));
  expect(problems({ replicas: blank })).toEqual(blank.map(() => 'a blank token is initialised with so_pin_file, which the plan lacks'));

  expect(problems({ ...next, epoch: 2, fleet: 'east' })).toEqual(['the plan is for the fleet east']);
  const refused = precheck(loadPlan(planFile({})), {
    ...options,
    checkReplica: () => {
      throw new Error('no PIN');
    },
  });
  expect(() => requireAll(refused)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('no PIN') }),
  );
});

test('the script for the room has the plan’s words and every participant', () => {
  const loaded = loadPlan(planFile());
  const script = roomScript(loaded);
  expect(script.replaceAll(/\s+\d*\s+/g, ' ')).toContain(hashWords(hexHash(loaded.bytes)));
  for (const { name } of loaded.plan.participants) expect(script).toContain(`- [ ] ${name}`);
  const fixed = script
    .replaceAll(/[0-9a-f]{64}/g, '<hash>')
    .replaceAll(/^ {4}[ \d]\d {2}[a-z ]+$/gm, '    <words>')
    .replaceAll(/20\d\d-\S+Z/g, '<time>');
  expect(fixed).toMatchSnapshot();
});
