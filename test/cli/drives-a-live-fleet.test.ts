import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exitCodes } from '../../cli/exit-codes.ts';
import { makeTokenPlace } from '../../demo/trust/places.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import type { StatementDocument } from '../../protocol/statement.ts';
import { DevFleet } from '../harness/dev-fleet.ts';
import { scratchDirectory } from '../harness/reaper.ts';

const CODE = '482915377206 tango';
const directory = scratchDirectory('cli');
const file = (name: string) => join(directory, name);
let fleet: DevFleet;

beforeAll(async () => {
  fleet = await DevFleet.start();
});

afterAll(() => fleet?.stop());

/** The built program, with a code on its standard input. */
async function bkvctl(args: readonly string[], input = '', environment: NodeJS.ProcessEnv = {}) {
  const program = [join(packageRoot, 'dist/cli/main.js'), '--client', fleet.clientFile, '--json'];
  const child = spawn(process.execPath, [...program, ...args], { env: { ...process.env, ...environment } });
  child.stdin.end(input);
  const [stdout, code] = await Promise.all([
    text(child.stdout),
    new Promise<number | null>((resolve) => {
      child.once('exit', resolve);
    }),
  ]);
  return { code, document: JSON.parse(stdout) as Record<string, unknown> };
}

test('enrols, spends attempts, recovers, erases, and says in its exit code what happened', async () => {
  const enrolled = await bkvctl(['enroll', 'alice', '--new-key', file('key'), '--limit', '3'], CODE);
  expect(enrolled).toMatchObject({ code: exitCodes.OK, document: { record: 'alice', holders: [1, 2, 3], threshold: 2 } });
  expect(statSync(file('key')).mode & 0o777).toBe(0o600);

  const wrong = await bkvctl(['recover', 'alice', '--out', file('no-key')], 'another code 77');
  expect(wrong).toMatchObject({
    code: exitCodes.WRONG_CODE,
    document: { error: { code: 'WRONG_CODE', attemptsUsed: 1, attemptsLimit: 3 } },
  });
  expect(existsSync(file('no-key'))).toBe(false);
  expect(await bkvctl(['describe', 'alice'])).toMatchObject({ code: exitCodes.OK, document: { state: 'live', attemptsUsed: 1 } });

  writeFileSync(file('code'), `${CODE}\n`);
  const recovered = await bkvctl(['recover', 'alice', '--out', file('recovered'), '--code-file', file('code')]);
  expect(recovered).toMatchObject({
    code: exitCodes.OK,
    document: { attempt: 2, limit: 3, attemptsElsewhere: 1, renewal: { state: 'renewed' } },
  });
  expect(readFileSync(file('recovered'))).toEqual(readFileSync(file('key')));
  expect(statSync(file('recovered')).mode & 0o777).toBe(0o600);

  expect(await bkvctl(['enroll', 'alice', '--new-key', file('thief')], CODE)).toMatchObject({ code: exitCodes.REFUSED });
  expect(existsSync(file('thief'))).toBe(false);

  expect(await bkvctl(['erase', 'alice', '--yes'])).toMatchObject({ code: exitCodes.OK });
  expect(await bkvctl(['recover', 'alice', '--out', file('late')], CODE)).toMatchObject({ code: exitCodes.GONE });
  expect(await bkvctl(['describe', 'nobody'])).toMatchObject({ code: exitCodes.RECORD_STATE });
});

test('keeps the receipts of a wrong code, and verifies them without asking anybody', async () => {
  await bkvctl(['enroll', 'bob', '--new-key', file('key-of-bob'), '--limit', '3'], CODE);
  const wrong = await bkvctl(['recover', 'bob', '--out', file('none'), '--receipts', file('receipts')], 'another code 77');
  expect(wrong.code).toBe(exitCodes.WRONG_CODE);
  const verified = await bkvctl(['receipt', 'verify', file('receipts')]);
  expect(verified).toMatchObject({
    code: exitCodes.OK,
    document: { receipts: [1, 2, 3].map((replica) => ({ replica, attempt: 1, limit: 3 })) },
  });

  const kept = JSON.parse(readFileSync(file('receipts'), 'utf8'));
  for (const change of [{ attempt: 2 }, { limit: 9 }, { replica: 2 }, { evaluated: kept.receipts[0].point }, { g: '00' }]) {
    const receipts = [{ ...kept.receipts[0], ...change }, ...kept.receipts.slice(1)];
    writeFileSync(file('changed'), JSON.stringify({ ...kept, receipts }));
    expect(await bkvctl(['receipt', 'verify', file('changed')])).toMatchObject({ code: exitCodes.UNTRUSTED });
  }
  writeFileSync(file('changed'), JSON.stringify({ ...kept, statement: kept.statement.replace('"epoch":1', '"epoch":2') }));
  expect(await bkvctl(['receipt', 'verify', file('changed')])).toMatchObject({ code: exitCodes.UNTRUSTED });
});

test('holds a recovery, and has its owner veto it or approve it', async () => {
  const enrolled = await bkvctl(['enroll', 'held', '--new-key', file('key-of-held'), '--hold', '24'], CODE);
  expect(enrolled.code).toBe(exitCodes.OK);
  const recover = (blinds: string, out: string) => bkvctl(['recover', 'held', '--out', file(out), '--blinds', file(blinds)], CODE);
  const [phisher, owner] = ['blinds-1', 'blinds-2'];
  const held = {
    code: exitCodes.HELD,
    document: { error: { code: 'HELD', notBefore: expect.any(Number), fingerprint: expect.any(String) } },
  };
  expect(await recover(phisher, 'none')).toMatchObject(held);
  expect(await bkvctl(['describe', 'held'])).toMatchObject({ document: { attemptsUsed: 1, held: [{ attempt: 1, held: [1, 2, 3] }] } });
  const key = ['--key', file('key-of-held')];
  expect(await bkvctl(['veto', 'held', ...key])).toMatchObject({
    code: exitCodes.OK,
    document: { attempts: [{ attempt: 1, replicas: [1, 2, 3], finality: 'final' }] },
  });
  expect(await recover(phisher, 'none')).toMatchObject({ code: exitCodes.REFUSED, document: { error: { code: 'VETOED' } } });

  expect(await recover(owner, 'again')).toMatchObject(held);
  expect(await bkvctl(['veto', 'held', ...key])).toMatchObject({ code: exitCodes.USAGE }); // which one?
  expect(await bkvctl(['approve', 'held', ...key, '--attempt', '2'])).toMatchObject({
    code: exitCodes.OK,
    document: { attempts: [{ attempt: 2 }] },
  });
  expect(await recover(owner, 'again')).toMatchObject({ code: exitCodes.OK, document: { attempt: 2 } }); // the same, of another process
  expect(readFileSync(file('again'))).toEqual(readFileSync(file('key-of-held')));
});

test('keeps a list beside a record', async () => {
  await bkvctl(['enroll', 'doors', '--new-key', file('key-of-doors')], CODE);
  expect(await bkvctl(['list', 'show', 'doors'])).toMatchObject({ code: exitCodes.OK, document: { counter: 0 } });
  writeFileSync(file('list'), 'a door');
  const put = ['list', 'put', 'doors', '--key', file('key-of-doors'), '--content', file('list')];
  for (const counter of [1, 2]) expect(await bkvctl(put)).toMatchObject({ code: exitCodes.OK, document: { counter } });
  const shown = await bkvctl(['list', 'show', 'doors', '--out', file('list-again')]);
  expect(shown).toMatchObject({ code: exitCodes.OK, document: { counter: 2, bytes: 6 } });
  expect(readFileSync(file('list-again'), 'utf8')).toBe('a door');
  const foreign = ['list', 'put', 'doors', '--key', file('key-of-held'), '--content', file('list')];
  expect(await bkvctl(foreign)).toMatchObject({ code: exitCodes.REFUSED });
});

test('fleet status tells who serves, and fails below the threshold', async () => {
  const [, second, third] = fleet.replicas.map(({ process }) => process);
  expect(await bkvctl(['fleet', 'status'])).toMatchObject({
    code: exitCodes.OK,
    document: {
      epoch: 1,
      serving: 3,
      replicas: [1, 2, 3].map((i) => ({ replica: `harness/replica/${i}`, health: 'SERVING', statement: 'trusted' })),
    },
  });
  await Promise.all([second?.kill(), third?.kill()]);
  expect(await bkvctl(['fleet', 'status'])).toMatchObject({
    code: exitCodes.UNAVAILABLE,
    document: { serving: 1, threshold: 2, error: { code: 'NOT_ENOUGH_REPLICAS' } },
  });
  await Promise.all([second?.start(), third?.start()]);
});

test('a statement that is not pinned is not trusted', async () => {
  const client = JSON.parse(readFileSync(fleet.clientFile, 'utf8')) as { statement_hashes: string[] };
  const other = join(fleet.directory, 'other-pin.json');
  writeFileSync(other, JSON.stringify({ ...client, statement_hashes: ['00'.repeat(32)] }));
  expect(await bkvctl(['--client', other, 'fleet', 'status'])).toMatchObject({ code: exitCodes.UNTRUSTED });
  expect(await bkvctl(['--client', other, 'describe', 'alice'])).toMatchObject({ code: exitCodes.UNTRUSTED });
});

test('fleet init makes a fleet whose tokens and files are there, once', async () => {
  const dir = file('fleet');
  const made = await bkvctl(['fleet', 'init', '--dir', dir, '--fleet', 'east', '--replicas', '3']);
  expect(made).toMatchObject({
    code: exitCodes.OK,
    document: { fleet: 'east', threshold: 2, replicas: 3, client_file: join(dir, 'client.json') },
  });
  for (const replica of ['replica-1', 'replica-2', 'replica-3'])
    for (const name of ['config.yaml', 'pin', 'softhsm2.conf', 'tokens', 'guard', 'tls/replica.key'])
      expect(existsSync(join(dir, replica, name)), `${replica}/${name}`).toBe(true);
  expect(await bkvctl(['fleet', 'init', '--dir', dir])).toMatchObject({ code: exitCodes.CONFIGURATION });
});

test('fleet init takes a token that is there already, and leaves its PIN to whoever has it', async () => {
  const place = makeTokenPlace(file('partition'));
  const made = [
    'ceremony',
    'key',
    file('key-beside'),
    '--token',
    'partition',
    '--pin-file',
    place.pinFile,
    '--so-pin-file',
    place.soPinFile,
  ];
  expect(await bkvctl(made, '', place.environment)).toMatchObject({ code: exitCodes.OK });
  const init = (dir: string, ...more: string[]) => bkvctl(['fleet', 'init', '--dir', dir, ...more], '', place.environment);
  const ownToken = ['--replica-token', '1=partition', '--replica-pin-file', `1=${place.pinFile}`];

  const dir = file('fleet-with-a-token');
  expect(await init(dir, ...ownToken)).toMatchObject({ code: exitCodes.OK });
  const { replicas } = JSON.parse(readFileSync(join(dir, 'statement.json'), 'utf8')) as StatementDocument;
  expect(new Set(replicas.map(({ token }) => token.serial)).size).toBe(3);
  expect(existsSync(join(dir, 'replica-1/tokens'))).toBe(false);
  expect(await bkvctl(['fleet', 'restate', '--dir', dir, '--rotate-keys'], '', place.environment)).toMatchObject({
    code: exitCodes.OK,
    document: { epoch: 2 },
  });

  // Its keys are another fleet's now, and stay.
  const other = file('fleet-with-the-same-token');
  expect(await init(other, ...ownToken)).toMatchObject({ code: exitCodes.CONFIGURATION });
  expect(existsSync(other)).toBe(false);
  expect(await init(other, '--replica-token', '1=partition')).toMatchObject({ code: exitCodes.USAGE });
});
