import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { utf8 } from '../primitives/bytes.ts';
import { capture } from '../test/harness/capture.ts';
import { softPolicy } from '../test/harness/test-log.ts';
import {
  planDocument,
  proofOf,
  type SoftEvidence,
  type SoftWorld,
  softCeremony,
  softEvidence,
  softWorld,
  writeFiles,
} from '../test/trust/soft-evidence.ts';
import { checkExitCodes } from './check-exit-codes.ts';
import { exitCodes } from './exit-codes.ts';
import { run } from './program.ts';

let world: SoftWorld;
let evidence: SoftEvidence;
let anchors: string;

beforeAll(async () => {
  world = await softWorld();
  evidence = await softEvidence(world);
  anchors = writeFiles(join(world.directory, 'anchors'), world.anchors);
});

afterAll(() => world.remove());

async function bkvctl(...args: string[]) {
  const { written, streams } = capture();
  const code = await run(args, streams);
  return { code, ...written };
}

/** A copy of the evidence, to be changed. */
function copy(change: (files: Map<string, Uint8Array>) => void): string {
  const files = new Map(evidence.files);
  change(files);
  return writeFiles(join(world.directory, `copy-${Math.random()}`), files);
}

describe('evidence verify', () => {
  test('trusts against anchors from elsewhere', async () => {
    const { code, stdout, stderr } = await bkvctl('evidence', 'verify', evidence.directory, '--anchors', anchors);
    expect({ code, stderr }).toEqual({ code: exitCodes.OK, stderr: '' });
    expect(stdout).toMatch(/Trusted\. Fleet west, epoch 1/);
  });

  test('without them says consistent, and does not exit with 0', async () => {
    const { code, stdout } = await bkvctl('evidence', 'verify', evidence.directory);
    expect(code).toBe(exitCodes.CONSISTENT);
    expect(stdout).toContain('Consistent with its own anchors');
  });

  test('names the step that fails, with an exit code of its own', async () => {
    const broken = copy((files) => files.delete('participants/custodian-1.sig'));
    const { code, stderr } = await bkvctl('evidence', 'verify', broken, '--anchors', anchors);
    expect(code).toBe(checkExitCodes['participant-missing']);
    expect(stderr).toContain('custodian-1 did not sign');
  });

  test('is one JSON document with --json, with every check', async () => {
    const broken = copy((files) => files.set('note.txt', new Uint8Array(1)));
    const { code, stdout } = await bkvctl('--json', 'evidence', 'verify', broken, '--anchors', anchors);
    const document = JSON.parse(stdout);
    expect(code).toBe(checkExitCodes['manifest-mismatch']);
    expect(document).toMatchObject({ verdict: 'refused', ok: false, error: { code: 'FLEET_UNTRUSTED' }, fleet: 'west' });
    expect(document.checks.filter((check: { code: string | null }) => check.code !== null)).toMatchObject([{ name: 'manifest' }]);
  });

  test('judges as of the time that it is given, and as strictly', async () => {
    const at = ['--at', new Date(world.now + 900 * 24 * 3600 * 1000).toISOString()];
    expect((await bkvctl('evidence', 'verify', evidence.directory, '--anchors', anchors, ...at)).code).toBe(
      checkExitCodes['certificate-expired'],
    );
    // The same keys, of which more must have signed.
    const few = proofOf(world, 0, { cosigners: world.cosigners.slice(1) });
    const [one, both] = [copy((files) => files.set('log-proof.txt', few)), join(world.directory, 'strict-anchors')];
    writeFiles(both, new Map([...world.anchors, ['log-policy.txt', utf8(softPolicy(world.log, world.cosigners, 2))]]));
    expect((await bkvctl('evidence', 'verify', one, '--anchors', anchors)).code).toBe(exitCodes.OK);
    expect((await bkvctl('evidence', 'verify', evidence.directory, '--anchors', both)).code).toBe(exitCodes.OK);
    expect((await bkvctl('evidence', 'verify', one, '--anchors', both)).code).toBe(checkExitCodes['cosignatures-few']);
  });

  test('anchors that are not all there are a mistake of the command', async () => {
    const { code } = await bkvctl('evidence', 'verify', evidence.directory, '--anchors', evidence.directory);
    expect(code).toBe(exitCodes.CONFIGURATION);
  });
});

describe('bundle verify', () => {
  const verify = (directory: string, ...more: string[]) =>
    bkvctl(
      'bundle',
      'verify',
      join(directory, 'validation-bundle.txt'),
      '--proof',
      join(directory, 'log-proof.txt'),
      '--anchors',
      anchors,
      ...more,
    );

  test('trusts', async () => {
    expect(await verify(evidence.directory)).toMatchObject({ code: exitCodes.OK, stdout: expect.stringContaining('Trusted. Fleet west') });
  });

  test('names the step that fails, with an exit code of its own', async () => {
    const { code, stderr } = await verify(evidence.directory, '--epoch-least', '2');
    expect({ code, stderr }).toEqual({
      code: checkExitCodes['statement-older'],
      stderr: expect.stringContaining('epoch 1; 2 is the lowest'),
    });
    const bare = copy((files) => files.set('validation-bundle.txt', files.get('statement.json') as Uint8Array));
    expect((await verify(bare)).code).toBe(checkExitCodes['signature-missing']);
  });
});

describe('ceremony', () => {
  const planFile = () => {
    const file = join(world.directory, 'plan.yaml');
    writeFileSync(file, stringify(planDocument(world)));
    return file;
  };

  test('--dry-run says what is missing and makes nothing', async () => {
    const out = join(world.directory, 'never');
    const { code, stdout } = await bkvctl('ceremony', planFile(), '--out', out, '--dry-run');
    expect(code).toBe(exitCodes.CONFIGURATION);
    const fixed = stdout
      .replaceAll(world.directory, '<directory>')
      .replaceAll(/[0-9a-f]{64}/g, '<hash>')
      .replaceAll(/^ {4}[ \d]\d {2}[a-z ]+$/gm, '    <words>');
    expect(fixed).toMatchSnapshot();
    expect(() => readFileSync(out)).toThrow('ENOENT');
  });

  test('does not begin when a check fails', async () => {
    const out = join(world.directory, 'never');
    const { code, stderr } = await bkvctl('ceremony', planFile(), '--out', out);
    expect(code).toBe(exitCodes.CONFIGURATION);
    expect(stderr).toContain('does not begin');
    expect(() => readFileSync(out)).toThrow('ENOENT');
  });

  test('--script prints the script for the room', async () => {
    expect(await bkvctl('ceremony', planFile(), '--script')).toMatchObject({
      code: exitCodes.OK,
      stdout: expect.stringContaining('# Ceremony of the fleet west'),
    });
  });

  test('a participant signs with a key in a file, and what was signed verifies with openssl', async () => {
    const { directory } = await softCeremony(world, { disagree: 'witness' });
    const name = 'custodian-1';
    for (const ending of ['json', 'sig']) rmSync(join(directory, `participants/${name}.${ending}`));
    const foreign = join(world.directory, 'foreign.pem');
    execFileSync('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', foreign], { stdio: 'ignore' });
    expect((await bkvctl('ceremony', 'sign', directory, '--as', name, '--key', foreign)).code).toBe(exitCodes.CONFIGURATION);
    expect((await bkvctl('ceremony', 'sign', directory, '--as', name)).code).toBe(exitCodes.CONFIGURATION);

    const own = join(world.directory, 'own.pem');
    const signer = world.participants.get(name);
    writeFileSync(own, signer?.privatePem ?? '');
    writeFileSync(join(world.directory, 'own.pub'), signer?.pem ?? '');
    const signed = await bkvctl(
      '--json',
      'ceremony',
      'sign',
      directory,
      '--as',
      name,
      '--key',
      own,
      '--disagree',
      '--exception',
      'No seal.',
    );
    expect(JSON.parse(signed.stdout)).toMatchObject({ name, verdict: 'disagree', exceptions: ['No seal.'] });
    const file = join(directory, `participants/${name}`);
    execFileSync('openssl', ['dgst', '-sha256', '-verify', join(world.directory, 'own.pub'), '-signature', `${file}.sig`, `${file}.json`]);
  });
});
