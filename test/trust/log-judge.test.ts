import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatNoteKey } from '../../fleet/log/note-key.ts';
import { cosign } from '../../fleet/log/note-signature.ts';
import { parseProof } from '../../fleet/log/proof.ts';
import { leafHash, makeConsistencyProof, treeHash } from '../../fleet/log/tree.ts';
import { PublishedLog } from '../../fleet/witness/published-log.ts';
import { submit } from '../../fleet/witness/witness.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import type { Statement } from '../../protocol/statement.ts';
import { softKey } from '../harness/test-log.ts';
import { StandingClock, softSigner, softStatement } from '../harness/test-witness.ts';

// Go's checksum database has libraries for such logs. They, and not ours, say here whether what a witness publishes is right.

const NAME = 'witness.example/backup-key-vault';
const EPOCHS = 7; // a tree that is not full, as in RFC 6962 §2.1.3

interface Given {
  Vkey: string;
  Checkpoint: string;
  Inclusions: { Index: number; Entry: string; Proof: string[] }[];
  Consistency: { OldSize: number; OldRoot: string; Proof: string[] }[];
  Cosigners: { Name: string; PublicKey: string }[];
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const other = softKey('other.example/w1');
let directory: string;
let judge: string;
let given: Given;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-judge-'));
  judge = join(directory, 'judge');
  execFileSync('go', ['build', '-o', judge, join(packageRoot, 'test/trust/log-judge/main.go')], {
    env: { ...process.env, GOPATH: '/usr/share/gocode', GO111MODULE: 'off', GOFLAGS: '' },
  });
  given = await publish();
}); // the first time, Go compiles its own libraries

afterAll(() => rmSync(directory, { recursive: true }));

/** A log of several epochs, as a witness publishes it, and every proof about it. */
async function publish(): Promise<Given> {
  const clock = new StandingClock();
  const log = new PublishedLog(join(directory, 'log'), NAME, softSigner(NAME), () => [
    'backup-key-vault/in-force/v1 test 1 2026-01-01T00:00:00Z 1',
  ]);
  log.make(clock.now());
  const judgement = { verifyEvidence: () => {}, signBundle: () => '' };
  const statements: Statement[] = [];
  const roots = [];
  let proof = new Uint8Array();
  for (let epoch = 1; epoch <= EPOCHS; epoch++) {
    statements.push(softStatement(statements.at(-1)));
    const evidence = new Map([['statement.json', (statements.at(-1) as Statement).bytes]]);
    ({ proof } = await submit(evidence, { log, judgement, cosigners: [], clock }));
    roots.push(log.published().root);
  }
  const draft = log.draft(clock.now());
  const note = log.publish(draft, [cosign(draft.note.text, other.key, 1_800_000_000, other.sign)]);
  const last = parseProof(proof);
  return {
    Vkey: formatNoteKey(log.key),
    Checkpoint: readFileSync(join(directory, 'log/public/checkpoint'), 'utf8'),
    Inclusions: statements.map(({ bytes }, index) => {
      const { hashes } = index === last.index ? last : parseProof(log.prove(index, draft, note));
      return { Index: index, Entry: base64(bytes), Proof: hashes.map(base64) };
    }),
    Consistency: roots.map((root, i) => ({
      OldSize: i + 1,
      OldRoot: base64(root),
      Proof: makeConsistencyProof(i + 1, draft.leaves).map(base64),
    })),
    Cosigners: [
      { Name: NAME, PublicKey: base64(log.key.publicKey) },
      { Name: other.key.name, PublicKey: base64(other.publicKey) },
    ],
  };
}

function judged(document: Given): string {
  const { stdout, stderr } = spawnSync(judge, { input: JSON.stringify(document), encoding: 'utf8' });
  return stdout + stderr;
}

test('Go accepts checkpoint, inclusion of every entry, consistency with every earlier tree, and cosignatures', () => {
  expect(given.Consistency).toHaveLength(EPOCHS);
  expect(judged(given)).toBe('ok\n');
});

const flip = (text: string): string => {
  const bytes = Buffer.from(text, 'base64');
  bytes[0] = (bytes[0] as number) ^ 1;
  return bytes.toString('base64');
};

test.each<[string, (document: Given) => void, string]>([
  [
    'a checkpoint of another size',
    (it) => {
      it.Checkpoint = it.Checkpoint.replace('\n7\n', '\n6\n');
    },
    'checkpoint: ',
  ],
  [
    'a checkpoint of another log',
    (it) => {
      it.Checkpoint = it.Checkpoint.replaceAll(NAME, 'witness.example/other');
    },
    'checkpoint: ',
  ],
  [
    'another key',
    (it) => {
      it.Vkey = formatNoteKey(other.key);
    },
    'checkpoint: ',
  ],
  [
    'another entry',
    (it) => {
      first(it.Inclusions).Entry = flip(first(it.Inclusions).Entry);
    },
    'inclusion of 0: ',
  ],
  [
    'a hash of an inclusion proof',
    (it) => {
      first(it.Inclusions).Proof = first(it.Inclusions).Proof.map(flip);
    },
    'inclusion of 0: ',
  ],
  [
    'another index',
    (it) => {
      first(it.Inclusions).Index = 1;
    },
    'inclusion of 1: ',
  ],
  [
    'an old tree of another history',
    (it) => {
      first(it.Consistency).OldRoot = flip(first(it.Consistency).OldRoot);
    },
    'consistency with 1: ',
  ],
  [
    'a hash of a consistency proof',
    (it) => {
      first(it.Consistency).Proof = first(it.Consistency).Proof.map(flip);
    },
    'consistency with 1: ',
  ],
  [
    'another cosigner’s key',
    (it) => {
      first(it.Cosigners).PublicKey = base64(other.publicKey);
    },
    'cosignature of ',
  ],
])('Go refuses %s', (_what, tamper, why) => {
  const tampered = structuredClone(given);
  tamper(tampered);
  expect(judged(tampered)).toMatch(new RegExp(`^${why}`));
});

function first<T>([value]: readonly T[]): T {
  if (value === undefined) throw new Error('there is none');
  return value;
}

test('Go refuses a log that was forked', () => {
  const leaves = Array.from({ length: EPOCHS }, (_, i) => leafHash(Uint8Array.of(i)));
  const proof = makeConsistencyProof(3, leaves).map(base64);
  expect(judged({ ...given, Consistency: [{ OldSize: 3, OldRoot: base64(treeHash(leaves.slice(0, 3))), Proof: proof }] })).toMatch(
    /^consistency with 3: /,
  );
});
