import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPage, pageTemplate } from '../../fleet/produce/page.ts';
import type { CheckCode } from '../../fleet/verify/check-codes.ts';
import { encodeCanonical, hexHash } from '../../fleet/verify/files.ts';
import { hashWords } from '../../fleet/verify/words.ts';
import { toHex, utf8 } from '../../primitives/bytes.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { DAY, proofOf, type SoftEvidence, type SoftWorld, softEnforced, softEvidence, softWorld } from './soft-evidence.ts';

// The page in a browser, as a visitor sees it. Screenshots stay in build/screenshots/.

const screenshots = join(packageRoot, 'build/screenshots');
let world: SoftWorld;
let first: SoftEvidence;
let second: SoftEvidence;
let browser: Browser;

beforeAll(async () => {
  mkdirSync(screenshots, { recursive: true });
  world = await softWorld();
  first = await softEvidence(world, { exceptions: ['The camera was off for a minute, between 10:02 and 10:03.'] });
  first = softEnforced(world, first);
  second = await softEvidence(world, { plan: { epoch: 2, previous: `${first.directory}/statement.json` } });
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
});

afterAll(async () => {
  await browser?.close();
  world?.remove();
});

type Files = Map<string, Uint8Array>;

interface Look {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
  /** The visitor's clock. */
  readonly now?: number;
}

/** Opens the page over these files, and hands over what it said on the console. */
async function visit(
  files: ReadonlyMap<string, Uint8Array>,
  name: string,
  { colorScheme = 'light', width = 1100, now = world.now }: Look = {},
) {
  const path = join(world.directory, `${name}.html`);
  writeFileSync(path, buildPage(pageTemplate(), files));
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 }, deviceScaleFactor: width < 500 ? 2 : 1 });
  await page.clock.setFixedTime(now);
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(pathToFileURL(path).href);
  await page.waitForSelector('[data-verdict]');
  return { page, complaints, requests, shoot: () => page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true }) };
}

const verdictOf = (page: Page) => page.locator('[data-verdict]').getAttribute('data-verdict');
const failing = (page: Page) => page.locator('[data-state="bad"]').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-code')));

describe('good evidence', () => {
  test.each<[string, Look]>([
    ['good', {}],
    ['good-dark', { colorScheme: 'dark' }],
    ['good-phone', { width: 390 }],
  ])('is shown green: %s', async (name, look) => {
    const { page, complaints, requests, shoot } = await visit(first.files, name, look);
    expect(await verdictOf(page)).toBe('consistent');
    expect(await failing(page)).toEqual([]);
    for (const check of ['newest', 'operators', 'put-in-force', 'in-force-logged'])
      expect(await page.locator(`[data-check="${check}"]`).getAttribute('data-state'), check).toBe('good');
    expect(await page.locator('[data-state="good"]').count()).toBeGreaterThan(22);
    expect(await page.locator('#statement-hash').textContent()).toContain(toHex(first.statement.hash));
    expect((await page.locator('#statement-hash .words li').allTextContents()).join(' ')).toBe(hashWords(first.statement.hash));
    expect(await page.locator('.notice blockquote').textContent()).toContain('camera');
    expect(await page.locator('.card blockquote').textContent()).toContain('camera');
    expect(complaints).toEqual([]);
    expect(requests).toHaveLength(1); // itself
    // Nothing hangs over the side, on a phone least of all.
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    await shoot();
    await page.close();
  });

  test('holds its keys side by side with a bundle that is dropped on it', async () => {
    const { page, shoot } = await visit(first.files, 'dropped-same');
    const drop = (name: string, bytes: Uint8Array) =>
      page.locator('#bundle').setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(bytes) });
    await drop('validation-bundle.txt', first.files.get('validation-bundle.txt') as Uint8Array);
    await page.waitForSelector('[data-comparison="same"]');
    expect(await page.locator('tr.same').count()).toBe(20);
    await shoot();
    await drop('validation-bundle.txt', second.files.get('validation-bundle.txt') as Uint8Array);
    await page.waitForSelector('[data-comparison="differs"]');
    expect(await page.locator('tr.differs').count()).toBeGreaterThan(12);
    await page.screenshot({ path: join(screenshots, 'dropped-differs.png'), fullPage: true });
    await drop('garbage.txt', utf8('garbage'));
    await page.waitForSelector('[data-code="bundle-malformed"]');
    await page.close();
  });

  test('takes a file that is dropped with the mouse', async () => {
    const { page } = await visit(first.files, 'dropped-by-mouse');
    const text = new TextDecoder().decode(first.files.get('validation-bundle.txt'));
    await page.evaluate(`
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([${JSON.stringify(text)}], 'validation-bundle.txt'));
      document.querySelector('.drop').dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    `);
    await page.waitForSelector('[data-comparison="same"]');
    await page.close();
  });
});

describe('tampering is shown red, with its reason', () => {
  const change = (name: string, from: string, to: string) => (files: Files) =>
    files.set(name, utf8(new TextDecoder().decode(files.get(name)).replace(from, to)));
  const json = (files: Files, name: string) => JSON.parse(new TextDecoder().decode(files.get(name)));

  /** The line of a checkpoint. */
  const named = (epoch: number) => `backup-key-vault/in-force/v1 west ${epoch} 2026-01-01T00:00:00Z 1`;

  /** The point with the other y: a key that is well formed, and another. */
  const otherKey = (files: Files) => {
    const statement = json(files, 'statement.json');
    const [sign, x] = [statement.replicas[0].receipt_key.slice(0, 2), statement.replicas[0].receipt_key.slice(2)];
    statement.replicas[0].receipt_key = `${sign === '02' ? '03' : '02'}${x}`;
    files.set('statement.json', encodeCanonical(statement));
  };

  test.each<[string, CheckCode, (files: Files) => unknown, Look?]>([
    ['statement', 'participant-signature', otherKey],
    ['missing-signature', 'signature-missing', (files) => files.set('validation-bundle.txt', files.get('statement.json') as Uint8Array)],
    [
      'bundle-of-another',
      'evidence-mismatch',
      (files) => files.set('validation-bundle.txt', second.files.get('validation-bundle.txt') as Uint8Array),
    ],
    ['transcript', 'transcript-broken', change('transcript.jsonl', 'replica-2', 'replica-9')],
    [
      'attribute',
      'attributes-unsafe',
      (files) => {
        const attributes = json(files, 'attributes/replica-1.json');
        const statement = json(files, 'statement.json');
        attributes.keys.oprf.extractable = statement.replicas[0].key_attributes.oprf.extractable = true;
        files.set('attributes/replica-1.json', encodeCanonical(attributes));
        files.set('statement.json', encodeCanonical(statement));
      },
    ],
    ['participant', 'participant-missing', (files) => files.delete('participants/custodian-2.json')],
    ['proof', 'proof-malformed', change('log-proof.txt', 'index 0', 'index O')],
    [
      'anchors',
      'certificate-untrusted',
      (files) => files.set('anchors/witness-ca.pem', files.get('anchors/operator-ca.pem') as Uint8Array),
    ],
    ['stray-file', 'manifest-mismatch', (files) => files.set('note.txt', utf8('<img src=x onerror=alert(1)>'))],
    ['markup', 'statement-malformed', change('statement.json', '"fleet":"west"', '"fleet":"<b>west</b>"')],
    ['expired', 'certificate-expired', () => {}, { now: Date.now() + 400 * DAY }],
    ['superseded', 'statement-superseded', (files) => files.set('log-proof.txt', proofOf(world, 0, { extensions: [named(2)] }))],
    ['not-named', 'newest-mismatch', (files) => files.set('log-proof.txt', proofOf(world, 0, { extensions: [] }))],
    ['not-the-operator', 'bundle-malformed', (files) => files.set('in-force.txt', utf8('in force'))],
  ])('%s', async (name, code, tamper, look) => {
    const files = new Map(first.files);
    tamper(files);
    const { page, complaints, requests, shoot } = await visit(files, `tampered-${name}`, look);
    expect(await verdictOf(page)).toBe('refused');
    expect(await failing(page)).toContain(code);
    const reason = await page.locator(`[data-code="${code}"] .detail`).first().textContent();
    expect(reason).toMatch(/^\w.{20,}\[/s);
    expect(await page.locator('h1').textContent()).toMatch(['expired', 'superseded'].includes(name) ? /has run out$/ : /does not hold$/);
    expect({ complaints, requests: requests.length }).toEqual({ complaints: [], requests: 1 });
    await shoot();
    await page.close();
  });

  test.each<[string, string, string]>([
    ['half-a-character', '"\\ud800"', 'transcript-broken'],
    ['an-object-as-text', '{"toString":1}', 'participant-signature'],
  ])('JSON that no ceremony writes: %s', async (name, value, code) => {
    const files = new Map(first.files);
    let prev = '0'.repeat(64);
    const lines = new TextDecoder().decode(files.get('transcript.jsonl')).trimEnd().split('\n');
    const rewritten = lines.map((line) => {
      const text = line.replace(/"prev":"\w+"/, `"prev":"${prev}"`).replace(/"purpose":"\w+"/, `"purpose":${value}`);
      prev = hexHash(utf8(text));
      return `${text}\n`;
    });
    files.set('transcript.jsonl', utf8(rewritten.join('')));
    const { page, complaints } = await visit(files, `tampered-${name}`);
    expect(await verdictOf(page)).toBe('refused');
    expect(await failing(page)).toContain(code);
    expect(complaints).toEqual([]);
    await page.close();
  });

  test('nothing at all', async () => {
    const { page } = await visit(new Map(), 'tampered-everything');
    expect(await verdictOf(page)).toBe('refused');
    await page.close();
  });
});

test('the page’s own commands run, and refuse what was tampered with', async () => {
  const { page } = await visit(first.files, 'footer');
  expect(await page.locator('footer').textContent()).toContain('not the files beside it');
  const commands = ((await page.locator('footer pre').textContent()) ?? '').replace(/^bkvctl /m, `'${process.execPath}' '${bkvctl}' `);
  const run = (directory: string) =>
    spawnSync('bash', ['-eu', '-c', commands], { cwd: directory, env: { ...process.env, ANCHORS: join(directory, 'anchors') } });
  const { status, stdout, stderr } = run(first.directory);
  expect(status, `${stdout}${stderr}`).toBe(0);
  const copy = join(world.directory, 'footer-tampered');
  cpSync(first.directory, copy, { recursive: true });
  writeFileSync(join(copy, 'statement.json'), second.statement.bytes);
  expect(run(copy).status).not.toBe(0);
  await page.close();
});
const bkvctl = join(packageRoot, 'dist/cli/main.js');

test('a page without evidence says so', async () => {
  const page = await browser.newPage();
  await page.setContent(pageTemplate());
  expect(await page.locator('[data-verdict]').getAttribute('data-verdict')).toBe('empty');
  await page.close();
});

test('the page’s policy lets nothing in and nothing out', async () => {
  const { page, complaints } = await visit(first.files, 'policy');
  const outcome = await page.evaluate(`
    const script = document.createElement('script');
    script.textContent = 'document.title = "taken over"';
    document.head.append(script);
    fetch('https://localhost:1/').catch((error) => error.message);
  `);
  expect(outcome).toMatch(/Failed to fetch/);
  expect(await page.title()).not.toBe('taken over');
  expect(complaints.join('\n')).toMatch(/Content Security Policy/);
  await page.close();
});
