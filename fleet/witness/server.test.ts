import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../primitives/bytes.ts';
import { type SoftKey, softCheckpoint, softKey, softMlDsaKey } from '../../test/harness/test-log.ts';
import { StandingClock, softSigner, softStatement } from '../../test/harness/test-witness.ts';
import { formatNote, formatSignature, type Note, parseNote, parseSignatures, signaturesOf } from '../log/note.ts';
import { formatNoteKey } from '../log/note-key.ts';
import { cosign, cosignedAt, isSigned, signText } from '../log/note-signature.ts';
import { leafHash, makeConsistencyProof, type TreeHash } from '../log/tree.ts';
import { formatAddCheckpoint, parseAddCheckpoint } from './add-checkpoint.ts';
import { CosignedCheckpoints } from './cosigned-checkpoints.ts';
import { Cosigner } from './cosigner.ts';
import { CosignerMemory, originHash } from './memory.ts';
import { PublishedLog } from './published-log.ts';
import { witnessServer } from './server.ts';
import { refresh, submit } from './witness.ts';

// All over real HTTP, on loopback.

const theirs = softKey('log.example/theirs');
const ours = softKey('witness.example/ours');
const leavesOf = (size: number, seed = 'leaf') => Array.from({ length: size }, (_, i) => leafHash(utf8(`${seed} ${i}`)));
const five = leavesOf(5);
const eight = leavesOf(8);

let directory: string;
let memory: CosignerMemory;
let clock: StandingClock;
let faults: unknown[];
let closers: (() => void)[];
let url: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bkv-witness-'));
  clock = new StandingClock();
  memory = new CosignerMemory(directory);
  memory.follow(theirs.key);
  faults = [];
  closers = [];
  url = await serve();
});

afterEach(() => {
  for (const close of closers) close();
  rmSync(directory, { recursive: true });
});

async function serve(changes: Partial<ConstructorParameters<typeof Cosigner>[0]> = {}): Promise<string> {
  const cosigner = new Cosigner({
    key: ours.key,
    sign: ours.sign,
    memory,
    checkpoints: new CosignedCheckpoints(directory),
    clock,
    ...changes,
  });
  const server = witnessServer({ directory: join(directory, 'public'), cosigner, onFault: (error) => faults.push(error) });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function post(body: Uint8Array | string, to = url): Promise<{ status: number; type: string | null; body: string }> {
  const response = await fetch(`${to}/add-checkpoint`, { method: 'POST', body: typeof body === 'string' ? body : new Uint8Array(body) });
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
}

const noteOf = (leaves: readonly TreeHash[], log: SoftKey = theirs): Note => softCheckpoint(log, leaves, clock.now());
const add = (oldSize: number, leaves: readonly TreeHash[], changes: { log?: SoftKey; proof?: TreeHash[] } = {}, to = url) =>
  post(
    formatAddCheckpoint({
      oldSize,
      proof: changes.proof ?? makeConsistencyProof(Math.min(oldSize, leaves.length), leaves),
      note: noteOf(leaves, changes.log),
    }),
    to,
  );

const conflict = (size: number) => ({ status: 409, type: 'text/x.tlog.size', body: `${size}\n` });

describe('add-checkpoint', () => {
  test('answers a cosignature, of the time it is, for a tree that continues', async () => {
    for (const [old, leaves] of [
      [0, five],
      [5, eight],
      [8, eight],
    ] as const) {
      clock.pass(1000);
      const { status, body } = await add(old, leaves);
      expect(status).toBe(200);
      const cosigned = { text: noteOf(leaves).text, signatures: parseSignatures(body) };
      expect(cosignedAt(cosigned, ours.cosigner)).toBe(clock.now() / 1000);
    }
    expect(memory.read(theirs.key.name)).toMatchObject({ size: 8, revision: 2 });
  });

  test('takes the empty tree as a beginning', async () => {
    expect(await add(0, [])).toMatchObject({ status: 200 });
    expect(await add(0, five)).toMatchObject({ status: 200 });
  });

  test('refuses another root of size zero than that of the empty tree', async () => {
    const note = noteOf([]);
    const text = note.text.replace(/[\w+/]{43}=/, Buffer.alloc(32).toString('base64'));
    const forged = { text, signatures: [signText(text, theirs.key, theirs.sign)] };
    expect(await post(formatAddCheckpoint({ oldSize: 0, proof: [], note: forged }))).toMatchObject({ status: 422 });
    expect(await add(0, five, { proof: five.slice(0, 1) })).toMatchObject({ status: 422 });
  });

  test('refuses a fork, of the same size and of a larger one, and remembers what it signed', async () => {
    await add(0, five);
    expect(await add(5, leavesOf(5, 'fork'))).toMatchObject({ status: 422 });
    expect(await add(5, leavesOf(8, 'fork'))).toMatchObject({ status: 422 });
    expect(await add(0, leavesOf(8, 'fork'))).toEqual(conflict(5));
    expect(memory.read(theirs.key.name)).toMatchObject({ size: 5 });
    expect(await add(5, eight)).toMatchObject({ status: 200 });
  });

  test('refuses an old size that is not the last, and says the last', async () => {
    await add(0, eight);
    expect(await add(5, eight)).toEqual(conflict(8));
    expect(await add(0, five)).toEqual(conflict(8));
  });

  test('refuses an old size above the new one', async () => {
    expect(await add(8, five, { proof: [] })).toMatchObject({ status: 400 });
  });

  test('knows no log that it was not told to follow', async () => {
    expect(await add(0, five, { log: softKey('log.example/strange') })).toMatchObject({ status: 404 });
  });

  test('believes no other key under the name of a log', async () => {
    const impostor = { ...theirs, key: softKey('log.example/other').key, sign: softKey('log.example/other').sign };
    const note = softCheckpoint({ ...impostor, key: { ...impostor.key, name: theirs.key.name } }, five, clock.now());
    expect(await post(formatAddCheckpoint({ oldSize: 0, proof: [], note }))).toMatchObject({ status: 403 });
    expect(await post(formatAddCheckpoint({ oldSize: 0, proof: [], note: { ...noteOf(five), text: noteOf(eight).text } }))).toMatchObject({
      status: 403,
    });
  });

  test('refuses a wrong proof', async () => {
    await add(0, five);
    expect(await add(5, eight, { proof: makeConsistencyProof(4, eight) })).toMatchObject({ status: 422 });
    expect(await add(5, eight, { proof: [] })).toMatchObject({ status: 422 });
    expect(await add(5, five, { proof: five.slice(0, 1) })).toMatchObject({ status: 422 });
  });

  test.each([
    ['nothing', ''],
    ['no old size', '\n'],
    ['a leading zero', 'old 00\n\n'],
    ['a line that is no hash', 'old 1\nabc\n\n'],
    ['no checkpoint', 'old 0\n\n'],
    ['a hash of 31 bytes', `old 5\n${Buffer.alloc(31).toString('base64')}\n\n`],
    ['a hash of 33 bytes', `old 5\n${Buffer.alloc(33).toString('base64')}\n\n`],
    ['64 lines of proof', `old 5\n${`${Buffer.alloc(32).toString('base64')}\n`.repeat(64)}\n`],
  ])('refuses %s as malformed', async (_what, head) => {
    const tail = head.length > 10 ? new TextDecoder().decode(formatNote(noteOf(eight))) : '';
    expect(await post(head + tail)).toMatchObject({ status: 400 });
  });

  test('refuses bodies without end, and other methods', async () => {
    expect(await post(`old 0\n${'a'.repeat(600_000)}`)).toMatchObject({ status: 413 });
    expect((await fetch(`${url}/add-checkpoint`)).status).toBe(405);
  });

  test('takes a checkpoint with a hundred signatures of ML-DSA-44', async () => {
    const note = noteOf(five);
    const pq = softMlDsaKey('pq.example');
    const line = cosign(note.text, pq.key, 1, pq.sign);
    const signatures = [...note.signatures, ...Array.from({ length: 98 }, () => line)];
    expect(await post(formatAddCheckpoint({ oldSize: 0, proof: [], note: { ...note, signatures } }))).toMatchObject({ status: 200 });
  });

  test('remembers across a restart', async () => {
    await add(0, five);
    const again = await serve({ memory: new CosignerMemory(directory) });
    expect(await add(5, leavesOf(8, 'fork'), {}, again)).toMatchObject({ status: 422 });
    expect(await add(5, eight, {}, again)).toMatchObject({ status: 200 });
  });

  test('of two forks at the same moment, in two processes, one is signed', async () => {
    await add(0, five);
    // The other process raises its memory after this one has read: every time.
    class LateMemory extends CosignerMemory {
      #isFirst = true;
      override read(origin: string) {
        const before = super.read(origin);
        if (this.#isFirst && before) {
          this.#isFirst = false;
          memory.raise(before, 8, noteRoot(eight));
        }
        return before;
      }
    }
    const late = await serve({ memory: new LateMemory(directory) });
    const fork = [...five, ...leavesOf(4, 'fork')];
    expect(await add(5, fork, {}, late)).toEqual(conflict(8));
    expect(memory.read(theirs.key.name)).toMatchObject({ size: 8, revision: 2 });
  });

  test('signs nothing when its memory is not what it wrote', async () => {
    await add(0, five);
    const [place] = readdirSync(join(directory, 'cosigned'));
    rmSync(join(directory, 'cosigned', place as string, '000000'));
    expect(await add(5, eight)).toMatchObject({ status: 500 });
    expect(faults).toMatchObject([{ code: 'LOG_MISSING' }]);
    writeFileSync(
      join(directory, 'cosigned', place as string, '000000'),
      readFileSync(join(directory, 'cosigned', place as string, '000001')),
    );
    writeFileSync(
      join(directory, 'cosigned', place as string, '000001'),
      `${JSON.stringify({ log: formatNoteKey(ours.key), size: 0, root: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' })}\n`,
    );
    expect(await add(0, eight)).toMatchObject({ status: 500 });
    expect(faults).toMatchObject([{ code: 'LOG_MISSING' }, { code: 'LOG_CORRUPT' }]);
    rmSync(join(directory, 'cosigned', place as string), { recursive: true });
    expect(await add(0, eight)).toMatchObject({ status: 404 });
  });
});

const noteRoot = (leaves: readonly TreeHash[]) =>
  Uint8Array.from(atob(noteOf(leaves).text.split('\n')[2] as string), (c) => c.charCodeAt(0)) as TreeHash;

describe('what was cosigned is shown', () => {
  const shown = (origin = theirs.key.name, at = url) => fetch(`${at}/${originHash(origin)}/checkpoint`);
  const noteShown = async () => parseNote(new Uint8Array(await (await shown()).arrayBuffer()));

  test('with all lines of its text, the log’s signature and the cosignature, and no other’s', async () => {
    expect((await shown()).status).toBe(404);
    const note = softCheckpoint(theirs, five, clock.now(), [], ['newest 2']);
    const stranger = softKey('stranger.example');
    const signatures = [...note.signatures, signText(note.text, stranger.key, stranger.sign)];
    const { body } = await post(formatAddCheckpoint({ oldSize: 0, proof: [], note: { ...note, signatures } }));
    const read = await noteShown();
    expect(read.text).toBe(note.text);
    expect([isSigned(read, theirs.key), cosignedAt(read, ours.cosigner)]).toEqual([true, clock.now() / 1000]);
    expect(read.signatures).toEqual([...signaturesOf(note, theirs.key), ...parseSignatures(body)]);
    const { headers } = await shown();
    expect([headers.get('content-type'), headers.get('cache-control')]).toEqual(['text/plain; charset=utf-8', 'no-cache']);
  });

  test('as it was cosigned last', async () => {
    await add(0, five);
    clock.pass(1000);
    await add(5, five);
    expect(cosignedAt(await noteShown(), ours.cosigner)).toBe(clock.now() / 1000);
    await add(5, eight);
    await add(8, leavesOf(8, 'fork'));
    await add(8, leavesOf(9, 'fork'));
    expect((await noteShown()).text).toBe(noteOf(eight).text);
  });

  test('not in the place of a larger tree that another process cosigned', async () => {
    // Between this one's write to the memory and its signature, another one answers.
    const sign = (message: Uint8Array) => {
      const before = memory.read(theirs.key.name);
      if (before?.size === 5) {
        memory.raise(before, 8, noteRoot(eight));
        new CosignedCheckpoints(directory).show(noteOf(eight));
      }
      return ours.sign(message);
    };
    expect(await add(0, five, {}, await serve({ sign }))).toMatchObject({ status: 200 });
    expect((await noteShown()).text).toBe(noteOf(eight).text);
  });

  test('and of logs that are not followed nothing', async () => {
    await add(0, five);
    for (const path of [originHash('strange'), originHash(theirs.key.name).toUpperCase(), originHash(theirs.key.name).slice(1)])
      expect((await fetch(`${url}/${path}/checkpoint`)).status).toBe(404);
    expect((await fetch(`${url}/${originHash(theirs.key.name)}/`)).status).toBe(404);
    expect((await fetch(`${url}/${originHash(theirs.key.name)}/checkpoint`, { method: 'POST', body: 'x' })).status).toBe(405);
  });
});

test('a log is followed once', () => {
  expect(() => memory.follow(theirs.key)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});

describe('a log that asks cosigners', () => {
  const judgement = { verifyEvidence: () => {}, signBundle: () => '' };
  const first = softStatement();
  const second = softStatement(first);
  const evidence = (statement = first) => new Map([['statement.json', statement.bytes]]);
  const logAt = (name: string) => new PublishedLog(join(directory, name), theirs.key.name, softSigner(theirs.key.name), () => []);
  let log: PublishedLog;

  const options = (at = log, to = url) => ({ log: at, judgement, cosigners: [{ key: ours.cosigner, url: to }], clock });
  const cosigners = (at = log) => cosignedAt(at.publishedNote(), ours.cosigner);

  beforeEach(() => {
    log = logAt('log');
    log.make(clock.now());
  });

  test('publishes with their cosignatures, and proves with them', async () => {
    const { missing, proof } = await submit(evidence(), options());
    expect(missing).toEqual([]);
    expect(cosigners()).toBe(clock.now() / 1000);
    expect(new TextDecoder().decode(proof)).toContain('— witness.example/ours ');
    expect((await submit(evidence(second), options())).missing).toEqual([]);
  });

  test('catches up with a cosigner that missed some', async () => {
    await submit(evidence(), { ...options(), cosigners: [] });
    await submit(evidence(second), { ...options(), cosigners: [] });
    expect(await refresh(options())).toEqual({ size: 2, missing: [] });
  });

  test('takes the cosignature of one that signs with ML-DSA-44', async () => {
    const pq = softMlDsaKey('pq.example/w1');
    const place = { key: pq.key, url: await serve({ key: pq.key, sign: pq.sign }) };
    expect((await submit(evidence(), { ...options(), cosigners: [place] })).missing).toEqual([]);
    expect(cosignedAt(log.publishedNote(), pq.key)).toBe(clock.now() / 1000);
    // Sixteen at once: one is taken.
    const sixteen = (request: Uint8Array) => {
      const line = formatSignature(cosign(parseAddCheckpoint(request).note.text, pq.key, clock.now() / 1000, pq.sign));
      return line.repeat(16);
    };
    const { url: at } = await hostile(sixteen);
    expect((await refresh({ ...options(), cosigners: [{ key: pq.key, url: at }] })).missing).toEqual([]);
    expect(signaturesOf(log.publishedNote(), pq.key)).toHaveLength(1);
  });

  test('takes no signature that is not its cosigner’s', async () => {
    const wrong = await serve({ sign: theirs.sign });
    const { missing } = await submit(evidence(), options(log, wrong));
    expect(missing[0]?.reason).toContain('without a right signature');
    expect(log.publishedNote().signatures).toHaveLength(2);
  });

  test('publishes without one that does not answer, or that does not follow it', async () => {
    const { missing } = await submit(evidence(), options(log, 'http://127.0.0.1:1'));
    expect(missing).toEqual([{ name: 'witness.example/ours', reason: expect.stringContaining('does not answer') }]);
    rmSync(join(directory, 'cosigned'), { recursive: true });
    expect((await refresh(options())).missing[0]?.reason).toContain('404');
    expect(cosigners()).toBeUndefined();
  });

  /** A cosigner that answers what it likes. */
  async function hostile(answer: (request: Uint8Array) => string | undefined): Promise<{ url: string; sent: () => number }> {
    let sent = 0;
    const server = createServer(async (request, response) => {
      const body = new Uint8Array(Buffer.concat(await request.toArray()));
      const text = answer(body);
      if (text !== undefined) return response.end(text);
      const flood = () => {
        do sent += 65536;
        while (sent < 1 << 26 && response.write('x'.repeat(65536)));
        if (sent >= 1 << 26) response.end();
      };
      response.on('drain', flood);
      flood();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(
      () => server.close(),
      () => server.closeAllConnections(),
    );
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent: () => sent };
  }

  test('takes one signature of each, however many it answers, and can be read afterwards', async () => {
    const now = clock.now() / 1000;
    const many = (count: number) => (request: Uint8Array) => {
      const { text } = parseAddCheckpoint(request).note;
      return Array.from({ length: count }, (_, i) => formatSignature(cosign(text, ours.key, now - i, ours.sign))).join('');
    };
    for (const [count, taken] of [
      [2, 1],
      [99, 1],
      [101, 0],
    ] as const) {
      const { missing } = await submit(evidence(), options(log, (await hostile(many(count))).url));
      expect(missing).toHaveLength(1 - taken);
      expect(log.publishedNote().signatures).toHaveLength(2 + taken);
      expect(cosigners()).toBe(taken === 0 ? undefined : now);
    }
    expect((await submit(evidence(), options())).missing).toEqual([]);
  });

  test('reads no more of an answer than a cosignature takes', async () => {
    const { url: flood, sent } = await hostile(() => undefined);
    const { missing } = await submit(evidence(), options(log, flood));
    expect(missing[0]?.reason).toContain('bytes');
    expect(sent()).toBeLessThan(1 << 25);
  });

  test('publishes nothing that nobody could read', () => {
    const draft = log.draft(clock.now());
    const before = log.publishedNote();
    const cosignature = cosign(draft.note.text, ours.key, clock.now() / 1000, ours.sign);
    expect(() =>
      log.publish(
        draft,
        Array.from({ length: 99 }, () => cosignature),
      ),
    ).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
    expect(log.publishedNote()).toEqual(before);
  });

  test('is not rolled back because another process of it was quicker', async () => {
    await submit(evidence(), options());
    class LateLog extends PublishedLog {
      raced = false;
      override draft(now: number) {
        const draft = super.draft(now);
        if (!this.raced) {
          this.raced = true;
          const { note } = raceWith(now);
          expect(note.text).toContain('\n2\n');
        }
        return draft;
      }
    }
    const late = new LateLog(join(directory, 'log'), theirs.key.name, softSigner(theirs.key.name), () => []);
    // What `submit` does beside: appends, and its cosigner knows before the other asks.
    const raceWith = (now: number) => {
      log.append(1, second.bytes);
      const draft = log.draft(now);
      const old = memory.read(theirs.key.name);
      expect(old && memory.raise(old, 2, draft.checkpoint.root)).toBe(true);
      return draft;
    };
    expect(await refresh(options(late))).toEqual({ size: 2, missing: [] });
    expect(late.published().size).toBe(2);
  });

  describe('and was restored from an old copy', () => {
    const fork = softStatement(undefined, { store_incarnation: 2 });
    const corrupt = expect.objectContaining({ code: 'LOG_CORRUPT' });
    let copy: PublishedLog;

    beforeEach(async () => {
      copy = logAt('copy');
      copy.make(clock.now());
      await submit(evidence(), options());
    });

    test('takes no entry', async () => {
      await expect(submit(evidence(fork), options(copy))).rejects.toThrow(corrupt);
      expect(copy.entries()).toEqual([]);
      await expect(refresh(options(copy))).rejects.toThrow(corrupt);
    });

    test('publishes no fork that is there already, as large or larger', async () => {
      copy.append(0, fork.bytes);
      await expect(refresh(options(copy))).rejects.toThrow(corrupt);
      copy.append(1, softStatement(fork).bytes);
      await expect(refresh(options(copy))).rejects.toThrow(corrupt);
      expect(copy.published().size).toBe(0);
      expect(cosigners()).toBe(clock.now() / 1000);
    });
  });
});

describe('the public files', () => {
  beforeEach(async () => {
    const log = new PublishedLog(directory, ours.key.name, softSigner(ours.key.name), () => []);
    log.make(clock.now());
    await submit(new Map([['statement.json', softStatement().bytes]]), {
      log,
      judgement: { verifyEvidence: () => {}, signBundle: () => '' },
      cosigners: [],
      clock,
    });
  });

  test('are served with their types', async () => {
    const checkpoint = await fetch(`${url}/checkpoint`);
    expect(checkpoint.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(parseNote(new Uint8Array(await checkpoint.arrayBuffer())).text).toMatch(/^witness\.example\/ours\n1\n/);
    const tile = await fetch(`${url}/tile/0/000.p/1`);
    expect(tile.headers.get('content-type')).toBe('application/octet-stream');
    expect(tile.headers.get('cache-control')).toContain('immutable');
    expect(new Uint8Array(await tile.arrayBuffer())).toEqual(leafHash(softStatement().bytes));
    expect((await fetch(`${url}/checkpoint`, { method: 'HEAD' })).status).toBe(200);
  });

  test.each([
    '/',
    '/tile/0/000',
    '/tile/0/000.p/2',
    '/tile/0/000.p',
    '/tile/0/000.p/1/2',
    '/tile',
    '/%2e%2e/entries/000000',
    '/tile/..%2f..%2fentries/000000',
    '/checkpoint?x',
    '/witness.yaml',
  ])('hold no %s', async (path) => {
    expect((await fetch(url + path)).status).toBe(404);
  });

  // fetch() would clean such paths up; whoever attacks does not.
  test.each(['/../entries/000000', '/tile/../../entries/000000', '//entries/000000', '/./checkpoint', 'checkpoint'])(
    'are left by no %s',
    async (path) => {
      const status = await new Promise((resolve, reject) => {
        get(url, { path }, (response) => resolve(response.resume().statusCode)).on('error', reject);
      });
      expect([400, 404]).toContain(status);
    },
  );

  test('cannot be written', async () => {
    expect((await fetch(`${url}/checkpoint`, { method: 'PUT', body: 'x' })).status).toBe(405);
    expect(faults).toEqual([]);
  });
});
