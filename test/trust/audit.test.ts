import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkExitCodes } from '../../cli/check-exit-codes.ts';
import { readLeafHashes } from '../../cli/leaf-hashes.ts';
import { trustIn } from '../../client/trust.ts';
import { formatNoteKey } from '../../fleet/log/note-key.ts';
import { parseLogTrust } from '../../fleet/log/policy.ts';
import { formatProof, type LogProof, parseProof } from '../../fleet/log/proof.ts';
import { leafHash, makeConsistencyProof, type TreeHash } from '../../fleet/log/tree.ts';
import { type CheckCode, checkCodes } from '../../fleet/verify/check-codes.ts';
import { encodePublished, parsePublished } from '../../fleet/verify/published-bundle.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { PublishedBundleSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ValidationBundleSchema } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { SoftMemory } from '../harness/soft-notary.ts';
import { type SoftCosigner, softCheckpoint, softKey, softMlDsaKey, softPolicy } from '../harness/test-log.ts';

// `make trust-demo`, and every command of docs/AUDIT.md over what it leaves: with nothing of ours.

const demo = join(packageRoot, 'build/trust');
const anchors = join(demo, 'anchors');
const document = readFileSync(join(packageRoot, 'docs/AUDIT.md'), 'utf8');
/** By their headings and their place below them. */
const blocks = new Map<string, string>(
  document.split(/^## /m).flatMap((part) => {
    const [heading = ''] = part.split('\n');
    return [...part.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, script], i) => [`${heading} ${i + 1}`, script as string] as const);
  }),
);
let scratch: string;
let said: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'bkv-audit-'));
  said = execFileSync(process.execPath, [join(packageRoot, 'dist/demo/trust/main.js')], { cwd: packageRoot }).toString();
});

afterAll(() => rmSync(scratch, { recursive: true }));

function audit(name: string, directory: string, known = anchors) {
  const script = blocks.get(name);
  expect(script, name).toBeDefined();
  return spawnSync('bash', ['-euo', 'pipefail', '-c', script as string], { cwd: directory, env: { ...process.env, ANCHORS: known } });
}

test('the demo’s last line says how to check it, and that holds', () => {
  const command = said.trim().split('\n').at(-1) ?? '';
  expect(command).toMatch(/^Check it: node dist\/cli\/main\.js evidence verify /);
  const { status, stdout } = spawnSync('bash', ['-c', command.replace('Check it: ', '')], { cwd: packageRoot });
  expect({ status, last: String(stdout).trim().split('\n').at(-1) }).toEqual({
    status: 0,
    last: expect.stringMatching(/^Trusted\. Fleet demo, epoch 2/),
  });
});

test('there are commands for everything', () => {
  expect([...blocks.keys()]).toMatchSnapshot();
});

describe.each(['epoch-1', 'epoch-2'])('%s', (epoch) => {
  test.each([...blocks.keys()])('%s', (name) => {
    const { status, stderr, stdout } = audit(name, join(demo, epoch));
    expect(status, `${stdout}${stderr}`).toBe(0);
  });
});

describe('what was tampered with fails, in the step that it breaks', () => {
  type Change = string | ((...found: string[]) => string);
  /** For base64: the last letter found becomes another. */
  const another = (found: string) => `${found.slice(0, -1)}${found.endsWith('A') ? 'B' : 'A'}`;
  const replace = (file: string, from: RegExp | string, to: Change) => (directory: string) => {
    const path = join(directory, file);
    const before = readFileSync(path, 'latin1');
    const after = before.replace(from, to as string);
    expect(after).not.toBe(before);
    writeFileSync(path, after, 'latin1');
  };

  test.each<[string, string, (directory: string) => void]>([
    ['What you need 1', 'another anchor', replace('anchors/log-policy.txt', /\+\w{8}\+/, '+00000000+')],
    ['The two signatures 1', 'the statement', replace('statement.json', '"threshold":2', '"threshold":3')],
    ['The two signatures 1', 'the bundle', replace('validation-bundle.txt', /\n[\w+/]{11}/, another)],
    ['The two signatures 2', 'the bundle’s headers', replace('validation-bundle.txt', 'Content-Type', 'Content-Tope')],
    ['The statement 1', 'its form', replace('statement.json', '{"epoch"', '{ "epoch"')],
    ['The statement 1', 'its threshold', replace('statement.json', '"threshold":2', '"threshold":1')],
    ['The statement 3', 'its previous statement', replace('previous.json', '"threshold":2', '"threshold":3')],
    ['The evidence 1', 'the manifest', replace('manifest.json', /"plan.yaml":"./, '"plan.yaml":"x')],
    ['The evidence 1', 'a file', replace('tokens/replica-1.json', 'SoftHSM', 'HardHSM')],
    ['The evidence 2', 'one file more', (directory) => writeFileSync(join(directory, 'note.txt'), 'trust me')],
    ['The transcript 1', 'a line', replace('transcript.jsonl', 'replica-2', 'replica-3')],
    ['The transcript 1', 'a last line without its end', (directory) => appendFileSync(join(directory, 'transcript.jsonl'), '{}')],
    ['The transcript 2', 'the plan', replace('plan.yaml', 'rehearsal', 'production')],
    ['The transcript 2', 'attributes', replace('attributes/replica-2.json', '"extractable":false', '"extractable":true')],
    ['The tokens and their keys 1', 'a key', replace('attributes/replica-2.json', /"release_key":"0[23]../, '"release_key":"zzzz')],
    ['The tokens and their keys 2', 'an attribute', replace('attributes/replica-2.json', '"extractable":false', '"extractable":true')],
    ['The tokens and their keys 2', 'a use', replace('attributes/replica-1.json', '"decrypt":false', '"decrypt":true')],
    ['The tokens and their keys 2', 'a use that is missing', replace('attributes/replica-1.json', '"derive":true', '"derive":false')],
    ['The participants 1', 'what one signed', replace('participants/auditor.json', '"agree"', '"AGREE"')],
    [
      'The participants 1',
      'a signature',
      (directory) => cpSync(join(directory, 'participants/operator.sig'), join(directory, 'participants/auditor.sig')),
    ],
    ['The participants 1', 'a signature that is not there', (directory) => rmSync(join(directory, 'participants/custodian-1.sig'))],
    ['The participants 1', 'a role in the plan', replace('plan.yaml', 'role: auditor', 'role: observer')],
    ['The log 1', 'the statement', replace('statement.json', '"threshold":2', '"threshold":3')],
    ['The log 1', 'the index', replace('log-proof.txt', 'index 2', 'index 0')],
    ['The log 1', 'what was put in force', replace('in-force.txt', /\n[\w+/]{11}/, another)],
    ['The log 2', 'the checkpoint', replace('log-proof.txt', '\n4\n', '\n3\n')],
    ['The log 2', 'a line of the checkpoint', replace('in-force-proof.txt', 'in-force/v1 demo 2', 'in-force/v1 demo 1')],
    ['The log 2', 'a cosignature', replace('log-proof.txt', /second\.example\/witness .{31}/, another)],
    ['The log 2', 'a cosigner’s line', replace('log-proof.txt', /\n[^\n]*second\.example\/witness .*/, '')],
    ['The log 3', 'a newer epoch', replace('log-proof.txt', 'in-force/v1 demo 2', 'in-force/v1 demo 3')],
    ['The log 4', 'what was put in force', replace('in-force.txt', /\n[\w+/]{11}/, another)],
    ['The log 4', 'the statement', replace('statement.json', '"threshold":2', '"threshold":3')],
    ['The log 4', 'a checkpoint that does not name it', replace('in-force-proof.txt', 'in-force/v1 demo 2', 'in-force/v1 demo 1')],
    ['The log 4', 'a checkpoint that names a later time', replace('in-force-proof.txt', /demo 2 20/, 'demo 2 21')],
    ['The log 4', 'a checkpoint without a line', replace('in-force-proof.txt', /\nbackup-key-vault.*/, '')],
    ['The software 1', 'its digest', replace('software.json', 'sha256:', 'sha256:0')],
  ])('%s: %s', (name, _what, tamper) => {
    const directory = mkdtempSync(join(scratch, 'evidence-'));
    cpSync(join(demo, 'epoch-2'), directory, { recursive: true });
    expect(audit(name, directory).status).toBe(0);
    tamper(directory);
    expect(audit(name, directory).status).not.toBe(0);
  });
});

const [, major, minor] = /^OpenSSL (\d+)\.(\d+)/.exec(String(spawnSync('openssl', ['version']).stdout)) ?? [];

test.skipIf(Number(major) < 3 || (major === '3' && Number(minor) < 5))(
  'a witness that signs with ML-DSA-44 is verified, and needed',
  () => {
    const directory = mkdtempSync(join(scratch, 'ml-dsa-'));
    const [log, mlDsa] = [softKey('log.example/a'), softMlDsaKey('witness.example/w')];
    const note = (cosigners: readonly SoftCosigner[]) =>
      softCheckpoint(log, [leafHash(utf8('entry'))], Date.now(), cosigners, ['a line that it does not sign']);
    const write = (cosigners: readonly SoftCosigner[]) =>
      writeFileSync(join(directory, 'log-proof.txt'), formatProof({ index: 0, hashes: [], note: note(cosigners) }));
    writeFileSync(join(directory, 'log-policy.txt'), softPolicy(log, [mlDsa], 1));
    write([mlDsa]);
    const { status, stdout, stderr } = audit('The log 2', directory, directory);
    expect({ status, stdout: String(stdout) }, String(stderr)).toEqual({
      status: 0,
      stdout: expect.stringContaining('witness.example/w at '),
    });
    write([]);
    expect(audit('The log 2', directory, directory).status).not.toBe(0);
    write([{ ...mlDsa, sign: softMlDsaKey('another').sign }]);
    expect(audit('The log 2', directory, directory).status).not.toBe(0);
  },
);

test('Go’s own libraries accept checkpoint, inclusion and consistency of the log', async () => {
  const judge = join(scratch, 'judge');
  execFileSync('go', ['build', '-o', judge, join(packageRoot, 'test/trust/log-judge/main.go')], {
    env: { ...process.env, GOPATH: '/usr/share/gocode', GO111MODULE: 'off', GOFLAGS: '' },
  });
  const read = (...names: string[]) => readFileSync(join(demo, ...names));
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const [first, second] = [1, 2].map((epoch) => parseProof(read(`epoch-${epoch}`, 'log-proof.txt'))) as [LogProof, LogProof];
  const { logKey, cosigners } = parseLogTrust(read('anchors/log-policy.txt'));
  const leaves = await readLeafHashes(join(demo, 'witness/public'), second.checkpoint.size);
  const document = {
    Vkey: formatNoteKey(logKey),
    Checkpoint: read('witness/public/checkpoint').toString(),
    Inclusions: [{ Index: second.index, Entry: base64(read('epoch-2/statement.json')), Proof: second.hashes.map(base64) }],
    Consistency: [
      {
        OldSize: first.checkpoint.size,
        OldRoot: base64(first.checkpoint.root),
        Proof: makeConsistencyProof(2, leaves as TreeHash[]).map(base64),
      },
    ],
    Cosigners: [logKey, ...cosigners].map(({ name, publicKey }) => ({ Name: name, PublicKey: base64(publicKey) })),
  };
  expect(spawnSync(judge, { input: JSON.stringify(document), encoding: 'utf8' }).stdout).toBe('ok\n');
  const forked = { ...document, Consistency: [{ ...document.Consistency[0], OldRoot: base64(new Uint8Array(32)) }] };
  expect(spawnSync(judge, { input: JSON.stringify(forked), encoding: 'utf8' }).stdout).not.toBe('ok\n');
});

test('an app that trusts the demo’s witness goes from its first epoch to its second, as a vault hands them out', async () => {
  const read = (name: string) => new Uint8Array(readFileSync(join(demo, name)));
  const text = (name: string) => readFileSync(join(demo, name), 'utf8');
  const trust = trustIn({
    kind: 'witnessed',
    operatorCa: text('anchors/operator-ca.pem'),
    witnessCa: text('anchors/witness-ca.pem'),
    logPolicy: text('anchors/log-policy.txt'),
    ...{ epochLeast: 1, operatorsLeast: 1, checkpointAgeMost: 3600 * 1000, memory: new SoftMemory() },
  });
  for (const epoch of [1, 2]) {
    const of = (name: string) => read(`epoch-${epoch}/${name}`);
    const [statement, smime, logProof] = [of('statement.json'), of('validation-bundle.txt'), of('log-proof.txt')];
    const leafHashes = await readLeafHashes(join(demo, 'witness/public'), parseProof(logProof).checkpoint.size);
    const published = create(PublishedBundleSchema, { smime, logProof, leafHashes });
    const { consistencyFrom, ...bundle } = parsePublished(encodePublished(published), statement);
    const ask = async (treeSize: number) => ({
      statement,
      bundle: create(ValidationBundleSchema, { smime: bundle.smime, logProof: bundle.logProof }),
      consistency: consistencyFrom(treeSize),
    });
    const { fleet } = JSON.parse(text('epoch-1/statement.json')) as { fleet: string };
    expect((await trust.believe({ fleet, said: undefined, ask, now: Date.now() })).statement.epoch).toBe(epoch);
  }
});

test('docs/AUDIT.md lists every check with its exit code', () => {
  const rows = (Object.entries(checkCodes) as [CheckCode, string][]).map(
    ([code, text]) => `| ${checkExitCodes[code]} | \`${code}\` | ${text} |`,
  );
  const table = ['| exit code | check | what is wrong |', '|---|---|---|', ...rows].join('\n');
  const [, shown] = /<!-- checks:begin -->\n([\s\S]*)\n<!-- checks:end -->/.exec(document) ?? [];
  expect(shown).toBe(table);
});
