import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { formatCheckpoint } from '../fleet/log/checkpoint.ts';
import { formatNote } from '../fleet/log/note.ts';
import { cosign, signText } from '../fleet/log/note-signature.ts';
import { parseProof, provesEntry } from '../fleet/log/proof.ts';
import { leafHash } from '../fleet/log/tree.ts';
import { validityFrom } from '../fleet/produce/authority.ts';
import { signInForce } from '../fleet/produce/in-force.ts';
import { CosignedCheckpoints } from '../fleet/witness/cosigned-checkpoints.ts';
import { Cosigner } from '../fleet/witness/cosigner.ts';
import { CosignerMemory } from '../fleet/witness/memory.ts';
import { PublishedLog } from '../fleet/witness/published-log.ts';
import { witnessServer } from '../fleet/witness/server.ts';
import { utf8 } from '../primitives/bytes.ts';
import { systemClock } from '../primitives/clock.ts';
import type { Statement } from '../protocol/statement.ts';
import { capture } from '../test/harness/capture.ts';
import { type SoftCosigner, softCheckpoint, softKey, softMlDsaKey, softPolicy } from '../test/harness/test-log.ts';
import { softSigner, softStatement } from '../test/harness/test-witness.ts';
import { makeParty, type Party } from '../test/trust/parties.ts';
import { checkExitCodes } from './check-exit-codes.ts';
import { exitCodes } from './exit-codes.ts';
import { run } from './program.ts';

// A witness's log over real HTTP, honest and otherwise.

const NAME = 'witness.example/log';
const [log, other, third] = [softKey(NAME), softKey('other.example'), softMlDsaKey('third.example')];
const first = softStatement();
const second = softStatement(first);

let operator: Party;
let directory: string;
let server: Server;
let url: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-audit-'));
  operator = await makeParty('operator', validityFrom(Date.now()));
  writeFileSync(join(directory, 'operator-ca.pem'), operator.ca);
  const policies = {
    'log-policy': softPolicy(log),
    'other-policy': softPolicy(other),
    'cosigned-policy': softPolicy(log, [other], 1),
    'strict-policy': softPolicy(log, [other, third], 2),
  };
  for (const [name, text] of Object.entries(policies)) writeFileSync(join(directory, name), text);
  const [memory, checkpoints] = [new CosignerMemory(directory), new CosignedCheckpoints(directory)];
  const cosigner = new Cosigner({ key: log.key, sign: log.sign, memory, checkpoints, clock: systemClock });
  server = witnessServer({ directory: join(directory, 'log/public'), cosigner, onFault: () => {} });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
  server.closeAllConnections();
  rmSync(directory, { recursive: true });
});

beforeEach(() => publish([first, second]));
afterEach(() => rmSync(join(directory, 'log'), { recursive: true, force: true }));

interface Published {
  readonly at?: number;
  readonly cosigners?: readonly SoftCosigner[];
  readonly extensions?: readonly string[];
}

/** A log that asks nobody what it may hold, or what it may say. */
function publish(
  entries: readonly Pick<Statement, 'bytes'>[],
  { at = Date.now(), cosigners = [other], extensions = [] }: Published = {},
): void {
  rmSync(join(directory, 'log'), { recursive: true, force: true });
  const published = new PublishedLog(join(directory, 'log'), NAME, softSigner(NAME), () => extensions);
  published.make(at);
  for (const [index, { bytes }] of entries.entries()) published.append(index, bytes);
  const draft = published.draft(at);
  published.publish(
    draft,
    cosigners.map(({ key, sign }) => cosign(draft.note.text, key, Math.floor(at / 1000), sign)),
  );
}

const file = (name: string) => join(directory, 'log/public', name);

async function bkvctl(command: string, ...more: string[]) {
  const { written, streams } = capture();
  const options = more.includes('--policy') ? [] : ['--policy', join(directory, 'log-policy')];
  const code = await run(['log', command, '--json', url, ...options, ...more], streams);
  const document = JSON.parse(written.stdout) as { checks?: { name: string; ok: boolean; code: string | null }[]; size?: number };
  return { code, document, failed: document.checks?.find((check) => check.code !== null) };
}

test('an honest log is verified and audited', async () => {
  const cosigned = ['--policy', join(directory, 'cosigned-policy')];
  expect(await bkvctl('verify', ...cosigned)).toMatchObject({ code: exitCodes.OK, document: { log: NAME, size: 2, ok: true } });
  const { code, document } = await bkvctl('audit', ...cosigned);
  expect({ code, document }).toMatchObject({ code: exitCodes.OK, document: { size: 2, statements: [{ epoch: 1 }, { epoch: 2 }] } });
  expect(document.checks?.map(({ name, ok }) => [name, ok])).toEqual(
    ['checkpoint', 'signed', 'entries', 'tree', 'tiles', 'continues', 'statements', 'newest'].map((name) => [name, true]),
  );
});

describe('what operators put in force', () => {
  const from = Date.UTC(2026, 0, 2);
  const enforced = (statement: Statement, by = operator) => ({ bytes: utf8(signInForce(statement, from, by.signer, Date.now())) });
  const line = (epoch: number, least: number) => `backup-key-vault/in-force/v1 test ${epoch} 2026-01-02T00:00:00Z ${least}`;
  const known = () => ['--operator-ca', `test=${join(directory, 'operator-ca.pem')}`];
  const log = () => [first, enforced(first), second, enforced(second)];

  test('is held against the lines of the checkpoint', async () => {
    publish(log(), { extensions: [line(2, 1)] });
    const { code, document } = await bkvctl('audit', ...known());
    expect({ code, document }).toMatchObject({
      code: exitCodes.OK,
      document: {
        statements: [{ epoch: 1 }, { epoch: 2 }],
        newest: [{ fleet: 'test', epoch: 2, refuse_older_from: '2026-01-02T00:00:00Z', least: 1 }],
      },
    });
  });

  test.each([
    ['no line', []],
    ['a line of an older epoch', [line(1, 1)]],
    ['another lowest epoch', [line(2, 2)]],
    ['another time', [line(2, 1).replace('01-02', '01-03')]],
    ['a line of another fleet', [line(2, 1), line(1, 1).replace('test', 'west')]],
    ['a line of another kind', [line(2, 1), 'more']],
  ])('is refused where the checkpoint has %s', async (_what, extensions) => {
    publish(log(), { extensions });
    const { code, failed } = await bkvctl('audit', ...known());
    expect({ code, failed }).toMatchObject({ code: checkExitCodes['newest-mismatch'], failed: { name: 'newest' } });
  });

  test('is refused in a log in which nothing is in force', async () => {
    publish([first], { extensions: [line(1, 1)] });
    expect((await bkvctl('audit')).code).toBe(checkExitCodes['newest-mismatch']);
  });

  test('is refused where a stranger signed it, or nobody knows who may', async () => {
    publish([first, enforced(first, await makeParty('stranger', validityFrom(Date.now())))], { extensions: [line(1, 1)] });
    expect((await bkvctl('audit', ...known())).code).toBe(checkExitCodes['certificate-untrusted']);
    publish(log(), { extensions: [line(2, 1)] });
    expect((await bkvctl('audit')).code).toBe(checkExitCodes['certificate-untrusted']);
    expect((await bkvctl('audit', '--operator-ca', 'test')).code).toBe(exitCodes.USAGE);
  });
});

test('an empty log is a log', async () => {
  publish([]);
  expect((await bkvctl('audit')).code).toBe(exitCodes.OK);
});

test('people read one line for each check, and the reason', async () => {
  const { written, streams } = capture();
  writeFileSync(file('tile/0/000.p/2'), Buffer.alloc(64));
  await run(['log', 'audit', url, '--policy', join(directory, 'log-policy')], streams);
  expect(written.stdout).toMatch(/^ok {6}The log answers a checkpoint\. witness\.example\/log, 2 entries\.$/m);
  expect(written.stdout).toMatch(/^FAILED {2}Its tiles are those of this tree\./m);
  expect(written.stderr).toContain('tree-mismatch');
});

describe('a log is refused', () => {
  const refused = async (command: string, check: keyof typeof checkExitCodes, name: string, ...options: string[]) => {
    const { code, failed } = await bkvctl(command, ...options);
    expect({ code, failed }).toMatchObject({ code: checkExitCodes[check], failed: { code: check, name } });
  };

  test('when its checkpoint is another’s', async () => {
    await refused('verify', 'checkpoint-signature', 'signed', '--policy', join(directory, 'other-policy'));
    const text = readFileSync(file('checkpoint'), 'utf8');
    writeFileSync(file('checkpoint'), text.replace('\n2\n', '\n1\n'));
    await refused('audit', 'checkpoint-signature', 'signed');
  });

  test('when its checkpoint is none', async () => {
    writeFileSync(file('checkpoint'), 'moved\n');
    await refused('verify', 'checkpoint-malformed', 'checkpoint');
    await refused('audit', 'checkpoint-malformed', 'checkpoint');
  });

  test('when it says that it has more entries than anybody could read', async () => {
    const text = formatCheckpoint({ origin: NAME, size: Number.MAX_SAFE_INTEGER, root: leafHash(first.bytes), extensions: [] });
    const signatures = [signText(text, log.key, log.sign), cosign(text, log.key, Math.floor(Date.now() / 1000), log.sign)];
    writeFileSync(file('checkpoint'), formatNote({ text, signatures }));
    await refused('verify', 'checkpoint-malformed', 'checkpoint');
    await refused('audit', 'checkpoint-malformed', 'checkpoint');
  });

  test('when a file of it has no end', async () => {
    let sent = 0;
    const endless = createServer((request, response) => {
      if (request.url === '/checkpoint') return response.end(readFileSync(file('checkpoint')));
      const flood = () => {
        do sent += 65536;
        while (sent < 1 << 28 && response.write(Buffer.alloc(65536)));
        if (sent >= 1 << 28) response.end();
      };
      response.on('drain', flood);
      flood();
    });
    await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve));
    const honest = url;
    url = `http://127.0.0.1:${(endless.address() as AddressInfo).port}`;
    try {
      await refused('audit', 'tree-mismatch', 'entries');
      expect(sent).toBeLessThan(1 << 27);
    } finally {
      url = honest;
      endless.closeAllConnections();
      endless.close();
    }
  });

  test('when its checkpoint is old', async () => {
    publish([first], { at: Date.now() - 8 * 24 * 3600_000 });
    await refused('verify', 'checkpoint-stale', 'signed');
    expect((await bkvctl('verify', '--age-most', '240')).code).toBe(exitCodes.OK);
  });

  test('when too few others cosigned', async () => {
    await refused('verify', 'cosignatures-few', 'signed', '--policy', join(directory, 'strict-policy'));
    await refused('audit', 'cosignatures-few', 'signed', '--policy', join(directory, 'strict-policy'));
    publish([first, second], { cosigners: [other, third] }); // of which the third signs with ML-DSA-44
    expect((await bkvctl('audit', '--policy', join(directory, 'strict-policy'))).code).toBe(exitCodes.OK);
  });

  test('when an entry or a tile is not what it signed, or is not there', async () => {
    writeFileSync(file('tile/0/000.p/2'), Buffer.alloc(64));
    await refused('audit', 'tree-mismatch', 'tiles');
    const bundle = readFileSync(file('tile/entries/000.p/2'));
    writeFileSync(file('tile/entries/000.p/2'), bundle.toString('latin1').replace('"epoch":2', '"epoch":3'), 'latin1');
    await refused('audit', 'tree-mismatch', 'tree');
    writeFileSync(file('tile/entries/000.p/2'), bundle.subarray(1));
    await refused('audit', 'tree-mismatch', 'entries');
    rmSync(file('tile/entries/000.p/2'));
    await refused('audit', 'tree-mismatch', 'entries');
  });

  test.each([
    ['statement-older', [first, second, second]],
    ['epoch-gap', [second]],
    ['previous-mismatch', [first, softStatement(first, { previous: null })]],
    ['evidence-mismatch', [first, softStatement(first, { evidence: null })]],
    ['statement-malformed', [first, { bytes: Buffer.from('{}') }]],
  ] as const)('when its statements break a rule: %s', async (check, statements) => {
    publish(statements);
    await refused('audit', check, 'statements');
    const { document } = await bkvctl('audit');
    expect(JSON.stringify(document)).toContain(`Entry ${statements.length - 1}: `);
  });

  test('when it does not continue what was seen', async () => {
    const seen = join(directory, 'seen');
    cpSync(file('checkpoint'), seen);
    expect((await bkvctl('audit', '--since', seen)).code).toBe(exitCodes.OK);
    publish([first, second, softStatement(second)]);
    expect((await bkvctl('audit', '--since', seen)).code).toBe(exitCodes.OK);
    publish([first]);
    await refused('audit', 'log-forked', 'continues', '--since', seen);
    publish([first, softStatement(first, { store_incarnation: 2 })]);
    await refused('audit', 'log-forked', 'continues', '--since', seen);
  });
});

test('a fresh proof is made of what the log serves', async () => {
  const [statement, out] = [join(directory, 'statement.json'), join(directory, 'proof')];
  writeFileSync(statement, first.bytes);
  const prove = () => bkvctl('prove', '--statement', statement, '--out', out);
  for (const statements of [[first], [first, second]]) {
    publish(statements);
    expect(await prove()).toMatchObject({ code: exitCodes.OK, document: { index: 0 } });
    const proof = parseProof(readFileSync(out));
    expect(provesEntry(proof, first.bytes)).toBe(true);
    expect(formatNote(proof.note)).toEqual(new Uint8Array(readFileSync(file('checkpoint'))));
  }
  rmSync(out);
  publish([]);
  expect((await prove()).code).toBe(checkExitCodes['inclusion-proof']);
  publish([first], { at: Date.now() - 8 * 24 * 3600_000 });
  expect((await prove()).code).toBe(checkExitCodes['checkpoint-stale']);
  expect(existsSync(out)).toBe(false);
});

test('a log that does not answer is no verdict', async () => {
  rmSync(file('checkpoint'));
  expect((await bkvctl('verify')).code).toBe(exitCodes.UNAVAILABLE);
  const { streams } = capture();
  const nobody = ['log', 'audit', 'http://127.0.0.1:1', '--policy', join(directory, 'log-policy')];
  expect(await run(nobody, streams)).toBe(exitCodes.UNAVAILABLE);
});

test('wrong keys and files are named before anybody is asked', async () => {
  const configuration = { code: exitCodes.CONFIGURATION };
  expect(await bkvctl('verify', '--policy', join(directory, 'nowhere'))).toMatchObject(configuration);
  writeFileSync(join(directory, 'wrong-policy'), softPolicy(log).replace('quorum none', 'quorum many'));
  const wrong = await bkvctl('verify', '--policy', join(directory, 'wrong-policy'));
  expect(wrong).toMatchObject(configuration);
  expect(JSON.stringify(wrong.document)).toMatch(/wrong-policy: .*line 2: no line before it defines many/);
  expect(await bkvctl('audit', '--since', join(directory, 'log-policy'))).toMatchObject(configuration);
  const strange = join(directory, 'strange');
  writeFileSync(strange, formatNote(softCheckpoint(other, [leafHash(first.bytes)], Date.now())));
  expect(await bkvctl('audit', '--since', strange)).toMatchObject(configuration);
});

test('every check has an exit code of its own, that no other outcome has', () => {
  const codes = [...Object.values(checkExitCodes), ...Object.values(exitCodes)];
  expect(new Set(codes).size).toBe(codes.length);
});
