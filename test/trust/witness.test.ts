import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { exitCodes } from '../../cli/exit-codes.ts';
import { run as runBkvctl } from '../../cli/program.ts';
import { makeSoftHsmDirectory } from '../../daemon/token/softhsm-directory.ts';
import { parseProof, provesEntry } from '../../fleet/log/proof.ts';
import { signInForce } from '../../fleet/produce/in-force.ts';
import { hexHash } from '../../fleet/verify/files.ts';
import { toHex, utf8 } from '../../primitives/bytes.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { run } from '../../witness/program.ts';
import { capture } from '../harness/capture.ts';
import { freePorts } from '../harness/free-port.ts';
import { ManagedProcess } from '../harness/managed-process.ts';
import { type SoftWorld, softCeremony, softWorld } from './soft-evidence.ts';

// bkv-witness with a token of its own, and the evidence of a ceremony.

const NAME = 'witness.example/backup-key-vault';
let directory: string;
let world: SoftWorld;

const at = (name: string) => join(directory, name);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-witness-'));
  mkdirSync(at('softhsm'));
  process.env.SOFTHSM2_CONF = makeSoftHsmDirectory(at('softhsm'), join(packageRoot, 'softhsm/softhsm2.conf'));
  writeFileSync(at('pin'), 'witness-pin\n');
  writeFileSync(at('so-pin'), 'witness-so-pin\n');
  world = await softWorld();
});

afterAll(() => {
  world.remove();
  rmSync(directory, { recursive: true });
});

async function witness(dir: string, ...args: string[]) {
  const { written, streams } = capture();
  const code = await run(['--dir', at(dir), '--json', ...args], streams);
  return { code, document: JSON.parse(written.stdout || '{}') };
}

/** After a rehearsal whose statement was read aloud. */
const submit = (dir: string, { directory: evidence, statement }: Awaited<ReturnType<typeof softCeremony>>, out: string) =>
  witness(dir, 'submit', evidence, '--out', at(out), '--statement', toHex(statement.hash), '--rehearsal');

const token = (label: string) => ['--token-label', label, '--pin-file', at('pin')];
const initialise = (dir: string, label: string) =>
  witness(dir, 'init', '--name', NAME, ...token(label), '--init-token', '--so-pin-file', at('so-pin'));

let number = 0;
let dir: string;
let made: Awaited<ReturnType<typeof initialise>>;

beforeEach(async () => {
  dir = `witness-${number}`;
  made = await initialise(dir, `token-${number++}`);
});

afterEach(() => rmSync(at(dir), { recursive: true, force: true }));

describe('init', () => {
  test('makes keys, certificates and an empty log', async () => {
    expect(made).toMatchObject({ code: exitCodes.OK, document: { name: NAME } });
    expect(readdirSync(at(dir)).sort()).toEqual([
      'bundle.crt',
      'cosigner.vkey',
      'entries',
      'log.vkey',
      'public',
      'witness-ca.pem',
      'witness.yaml',
    ]);
    expect(readFileSync(at(`${dir}/log.vkey`), 'utf8')).toBe(`${made.document.log_key}\n`);
    expect(readFileSync(at(`${dir}/public/checkpoint`), 'utf8')).toMatch(/^witness\.example\/backup-key-vault\n0\n47DEQpj8/);
  });

  test('overwrites neither a directory nor keys', async () => {
    const before = readFileSync(at(`${dir}/log.vkey`));
    expect((await initialise(dir, 'another-token')).code).toBe(exitCodes.CONFIGURATION);
    expect((await witness('elsewhere', 'init', '--name', NAME, ...token(`token-${number - 1}`))).code).toBe(exitCodes.CONFIGURATION);
    expect(existsSync(at('elsewhere'))).toBe(false);
    expect(readFileSync(at(`${dir}/log.vkey`))).toEqual(before);
  });

  test('takes no name that is none', async () => {
    for (const name of ['cosignature/v1 ', 'Witness', 'https://witness.example/log', 'witness'])
      expect((await witness('elsewhere', 'init', '--name', name, ...token('none'))).code).toBe(exitCodes.CONFIGURATION);
  });
});

test('the other commands make no log', async () => {
  for (const command of [
    ['refresh'],
    ['submit', at('evidence'), '--out', at('out'), '--statement', 'ab'.repeat(32)],
    ['follow', made.document.log_key],
  ]) {
    const { code } = await witness('nowhere', ...command);
    expect(code).toBe(exitCodes.CONFIGURATION);
  }
  expect(existsSync(at('nowhere'))).toBe(false);
  rmSync(at(`${dir}/entries`), { recursive: true });
  expect(await witness(dir, 'refresh')).toMatchObject({ code: exitCodes.CONFIGURATION, document: { error: { code: 'LOG_MISSING' } } });
});

describe('submit', () => {
  test('logs and signs a statement whose evidence holds, as openssl sees it', async () => {
    const held = await softCeremony(world);
    const { statement } = held;
    const done = await submit(dir, held, 'out');
    expect(done).toMatchObject({ code: exitCodes.OK, document: { epoch: 1, index: 0, new: true, size: 1, missing: [] } });
    const proof = parseProof(readFileSync(at('out/log-proof.txt')));
    expect(provesEntry(proof, statement.bytes)).toBe(true);
    const printed = execFileSync(
      'openssl',
      ['cms', '-verify', '-binary', '-no-CApath', '-no-CAstore', '-CAfile', at(`${dir}/witness-ca.pem`), '-in', at('out/witnessed.txt')],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    expect(new Uint8Array(printed)).toEqual(statement.bytes);
    expect(await submit(dir, held, 'out')).toMatchObject({ document: { index: 0, new: false, size: 1 } });
  });

  test('refuses evidence that does not hold, and another statement of the same epoch', async () => {
    const disputed = await softCeremony(world, { disagree: 'custodian-2' });
    expect(await submit(dir, disputed, 'refused')).toMatchObject({
      code: exitCodes.UNTRUSTED,
      document: { error: { code: 'FLEET_UNTRUSTED', check: 'participant-disagrees' } },
    });
    const one = await softCeremony(world);
    const two = await softCeremony(world, { exceptions: ['The room was cold.'], plan: { store_incarnation: 2 } });
    expect((await submit(dir, one, 'out')).code).toBe(exitCodes.OK);
    expect(await submit(dir, two, 'refused')).toMatchObject({
      code: exitCodes.UNTRUSTED,
      document: { error: { check: 'statement-older' } },
    });
    expect(existsSync(at('refused'))).toBe(false);
  });
});

describe('enforce', () => {
  const authority = () => {
    writeFileSync(at('operator-ca.pem'), world.anchors.get('operator-ca.pem') as Uint8Array);
    const config = readFileSync(at(`${dir}/witness.yaml`), 'utf8');
    writeFileSync(
      at(`${dir}/witness.yaml`),
      config.replace('operators: []\n', 'operators:\n  - fleet: west\n    ca: ../operator-ca.pem\n'),
    );
  };
  const checkpoint = () => readFileSync(at(`${dir}/public/checkpoint`), 'utf8');

  test('logs what the operator signed, and names the epoch from then on', async () => {
    authority();
    const held = await softCeremony(world);
    await submit(dir, held, 'out');
    expect(checkpoint()).not.toContain('in-force');
    const now = Date.now();
    writeFileSync(at('in-force.txt'), signInForce(held.statement, now, world.operator.signer, now));
    expect(await witness(dir, 'enforce', at('in-force.txt'), '--out', at('enforced'))).toMatchObject({
      code: exitCodes.OK,
      document: { fleet: 'west', epoch: 1, index: 1, new: true, size: 2 },
    });
    const line = `\nbackup-key-vault/in-force/v1 west 1 ${new Date(now).toISOString().slice(0, 19)}Z 1\n`;
    for (const [name, entry] of [
      ['in-force-proof.txt', readFileSync(at('in-force.txt'))],
      ['log-proof.txt', held.statement.bytes],
    ] as const) {
      const proof = parseProof(readFileSync(at(`enforced/${name}`)));
      expect(provesEntry(proof, entry)).toBe(true);
      expect(proof.note.text).toContain(line);
    }
    expect((await witness(dir, 'refresh')).code).toBe(exitCodes.OK);
    expect(checkpoint()).toContain(line);
  });

  test('takes nothing from whom it does not know', async () => {
    const held = await softCeremony(world);
    await submit(dir, held, 'out');
    writeFileSync(at('in-force.txt'), signInForce(held.statement, Date.now(), world.operator.signer, Date.now()));
    const unknown = { code: exitCodes.UNTRUSTED, document: { error: { check: 'certificate-untrusted' } } };
    expect(await witness(dir, 'enforce', at('in-force.txt'), '--out', at('refused'))).toMatchObject(unknown);
    authority();
    writeFileSync(at('in-force.txt'), signInForce(held.statement, Date.now(), world.witness.signer, Date.now()));
    expect(await witness(dir, 'enforce', at('in-force.txt'), '--out', at('refused'))).toMatchObject(unknown);
    expect(existsSync(at('refused'))).toBe(false);
    expect(readdirSync(at(`${dir}/entries`))).toHaveLength(1);
  });
});

describe('submit holds the evidence against the room', () => {
  const signed = () => [readdirSync(at(`${dir}/entries`)), existsSync(at('refused'))];
  const untrusted = (check: string) => ({ code: exitCodes.UNTRUSTED, document: { error: { code: 'FLEET_UNTRUSTED', check } } });

  test('and refuses a statement that nobody read aloud, however right it is', async () => {
    const [heard, invented] = [await softCeremony(world), await softCeremony(world)];
    expect(await submit(dir, { ...invented, statement: heard.statement }, 'refused')).toMatchObject(untrusted('statement-not-pinned'));
    expect(signed()).toEqual([[], false]);
  });

  test('and refuses a rehearsal, unless it is told of one', async () => {
    const { directory: evidence, statement } = await softCeremony(world);
    const heard = ['--statement', toHex(statement.hash).toUpperCase()];
    expect(await witness(dir, 'submit', evidence, '--out', at('refused'), ...heard)).toMatchObject(untrusted('plan-mismatch'));
    expect(signed()).toEqual([[], false]);
    const real = await softCeremony(world, { plan: { purpose: 'production' } });
    const as = ['--statement', toHex(real.statement.hash)];
    expect((await witness(dir, 'submit', real.directory, '--out', at('out'), ...as)).code).toBe(exitCodes.OK);
  });

  test('and begins with none that is not a hash', async () => {
    const { directory: evidence } = await softCeremony(world);
    for (const statement of [[], ['--statement', 'abandon ability able']])
      expect((await witness(dir, 'submit', evidence, '--out', at('refused'), ...statement)).code).toBe(exitCodes.USAGE);
  });
});

describe('two witnesses, each served by a process of its own', () => {
  const running: ManagedProcess[] = [];
  afterEach(async () => {
    for (const process of running.splice(0)) await process.stop();
  });

  async function serve(which: string): Promise<{ process: ManagedProcess; url: string }> {
    const [port] = (await freePorts(1)) as [number];
    const url = `http://127.0.0.1:${port}`;
    const served = new ManagedProcess({
      name: `bkv-witness ${which}`,
      program: process.execPath,
      args: [join(packageRoot, 'dist/witness/main.js'), '--dir', at(which), 'serve', '--listen', `127.0.0.1:${port}`],
      logFile: at(`${which}.out`),
      ready: async () => (await fetch(`${url}/checkpoint`).catch(() => undefined))?.ok === true,
    });
    running.push(served);
    await served.start();
    return { process: served, url };
  }

  test('cosign each other’s logs, and remember over a crash what they signed', async () => {
    const other = `${dir}-other`;
    const { document } = await witness(
      other,
      'init',
      '--name',
      'other.example/log',
      ...token(other),
      '--init-token',
      '--so-pin-file',
      at('so-pin'),
    );
    expect((await witness(other, 'follow', made.document.log_key)).code).toBe(exitCodes.OK);
    expect((await witness(other, 'follow', made.document.log_key)).code).toBe(exitCodes.CONFIGURATION);
    const cosigner = await serve(other);
    const config = readFileSync(at(`${dir}/witness.yaml`), 'utf8');
    const place = `cosigners:\n  - vkey: ${document.cosigner_key}\n    url: ${cosigner.url}\n`;
    writeFileSync(at(`${dir}/witness.yaml`), config.replace('cosigners: []\n', place));

    rmSync(at('copy'), { recursive: true, force: true });
    cpSync(at(dir), at('copy'), { recursive: true });
    const held = await softCeremony(world);
    expect(await submit(dir, held, 'out')).toMatchObject({ document: { size: 1, missing: [] } });

    await cosigner.process.kill();
    await cosigner.process.start();
    // Restored from an old copy, the log would sign another first entry: the cosigner knows better.
    const fork = await softCeremony(world, { plan: { store_incarnation: 2 } });
    expect(await submit('copy', fork, 'refused')).toMatchObject({
      code: exitCodes.UNTRUSTED,
      document: { error: { code: 'LOG_CORRUPT' } },
    });

    const log = await serve(dir);
    const { written, streams } = capture();
    const policy = `log ${made.document.log_key}\nwitness other ${document.cosigner_key}\nquorum other\n`;
    writeFileSync(at('log-policy.txt'), policy);
    expect(await runBkvctl(['log', 'audit', log.url, '--policy', at('log-policy.txt')], streams)).toBe(exitCodes.OK);
    expect(written.stdout).toContain('cosigned by other.example/log');
    const shown = await fetch(`${cosigner.url}/${hexHash(utf8(NAME))}/checkpoint`);
    expect(await shown.text()).toMatch(/^witness\.example\/backup-key-vault\n1\n.*\n\n(?:— .*\n)*— other\.example\/log /);
    await log.process.stop();
    expect(log.process.log()).toBe(`Serves ${NAME} at ${log.url}\n`);
  });
});
