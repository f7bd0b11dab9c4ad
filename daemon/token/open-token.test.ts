import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import pkcs11js from 'pkcs11js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import { openToken } from './open-token.ts';
import { initialiseOptions, openModule } from './pkcs11/module.ts';
import type { TokenEvent } from './pool/pool.ts';
import type { TokenPort } from './port.ts';
import { hmac, multiple, multiply, ReferenceClient } from './reference.ts';
import { makeTestToken, pin, storedPin } from './testing.ts';

// The worker is the compiled one: build first.
const { location, provisioned } = makeTestToken(afterAll, { queueLimit: 50, recycleAfterObjects: 200 });
const { profile, module, initParameters, tokenLabel, fleet, index, epoch } = location;
const options = { profile, module, initParameters, tokenLabel, fleet, index, epoch };
const ORDER = p256.Point.Fn.ORDER;
const failsWith = (code: string) => expect.objectContaining({ name: 'VaultError', code });

describe('opening a token', () => {
  it('is refused with a wrong PIN', () =>
    expect(openToken({ ...options, pin: () => ({ pin: new SecretBytes(Buffer.from('not the PIN')), stamp: '' }) })).rejects.toEqual(
      failsWith('PIN_REFUSED'),
    ));

  it('is refused without a module', () =>
    expect(openToken({ ...options, module: '/nowhere/libpkcs11.so', pin: storedPin })).rejects.toEqual(failsWith('MODULE_MISSING')));

  it('is refused for a module that is none', () =>
    expect(openToken({ ...options, module: process.execPath, pin: storedPin })).rejects.toEqual(failsWith('MODULE_MISSING')));

  it('is refused without the token', () =>
    expect(openToken({ ...options, tokenLabel: 'another', pin: storedPin })).rejects.toEqual(failsWith('TOKEN_MISSING')));

  it('is refused without the keys', () =>
    expect(openToken({ ...options, index: 9, pin: storedPin })).rejects.toEqual(failsWith('KEY_MISSING')));
});

describe('an open token', () => {
  let port: TokenPort;
  const handedOut: SecretBytes[] = [];
  const source = () => {
    handedOut.push(pin());
    return { pin: handedOut.at(-1) as SecretBytes, stamp: '' };
  };
  const events: TokenEvent[] = [];
  beforeAll(async () => {
    port = await openToken({ ...options, pin: source, onEvent: (event) => events.push(event) });
  });
  afterAll(() => port.close());

  it('says who it is', () => expect(port.identity).toEqual(provisioned.identity));

  it('remembers who served last, across openings', async () => {
    expect(await port.readBootRecord()).toEqual(new Uint8Array(32));
    for (const boots of [1, 2]) await port.writeBootRecord(new Uint8Array(32).fill(boots));
    expect(await port.readBootRecord()).toEqual(new Uint8Array(32).fill(2));
    await port.writeBootRecord(new Uint8Array(32).fill(2)); // a repeated call
    expect(await port.readBootRecord()).toEqual(new Uint8Array(32).fill(2));
    await expect(port.writeBootRecord(new Uint8Array(31))).rejects.toEqual(failsWith('MALFORMED'));
  });

  it('evaluates as software does, refuses points that are none, and whoever has no MAC, whatever the point', async () => {
    const { publicKey, wrappedKey } = await port.newOprfKey(multiple(7n));
    const digest = randomBytes(32);
    const request = { epoch, mac: { digest, tag: await port.mac(digest) }, wrappedKey, publicKey };
    for (const e of [1n, 2n, ORDER - 2n, 77n])
      expect(await port.evaluate({ ...request, point: multiple(e) })).toEqual(multiply(publicKey, e));
    const offCurve = parsePoint(Uint8Array.of(2, ...new Uint8Array(31), 1), 'P');
    for (const point of [multiple(ORDER - 1n), offCurve, new Uint8Array(33) as CompressedPoint])
      await expect(port.evaluate({ ...request, point })).rejects.toEqual(failsWith('MALFORMED'));
    await expect(port.evaluate({ ...request, publicKey: multiple(5n), point: multiple(3n) })).rejects.toEqual(failsWith('TOKEN_FAULT'));
    const forged = { digest, tag: randomBytes(32) };
    for (const e of [1n, 2n])
      await expect(port.evaluate({ ...request, mac: forged, point: multiple(e) })).rejects.toEqual(failsWith('MAC_REFUSED'));
  });

  it('carries a record from enrolment to release', async () => {
    const client = new ReferenceClient(profile.sessionSuite);
    const [digest, auth, share, a, b, c, proof] = Array.from({ length: 7 }, () => randomBytes(32)) as Buffer[] as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    const born = await port.newOprfKey(multiple(7n));
    expect(born.evaluated).toEqual(multiply(born.publicKey, 7n));
    const check = { digest, tag: await port.mac(digest) };
    const seal = (sessionTranscript: Buffer, secret: Buffer) => ({
      sessionTranscript,
      sealed: client.seal(port.identity.sessionKey, sessionTranscript, secret),
    });
    const stored = { wrappedKey: born.wrappedKey, publicKey: born.publicKey };
    const request = { ticket: check, clientKey: client.publicKey, auth: seal(a, auth), release: seal(b, share) };
    const blobs = await port.adopt({ ...request, ...stored, point: multiple(7n), evaluated: born.evaluated });
    expect(await port.evaluate({ epoch, mac: check, ...stored, point: multiple(8n) })).toEqual(multiply(born.publicKey, 8n));
    const sealed = await port.release({
      epoch,
      mac: check,
      ...blobs,
      proofTranscript: proof,
      proof: hmac(auth, proof),
      clientKey: client.publicKey,
      sessionTranscript: c,
    });
    expect(client.open(port.identity.sessionKey, c, sealed)).toEqual(new Uint8Array(share));
  });

  it('keeps the code of an error across the thread', async () => {
    await expect(port.verifyMac({ epoch, digest: randomBytes(32), tag: randomBytes(32) })).rejects.toEqual(failsWith('MAC_REFUSED'));
    await expect(port.mac(randomBytes(31))).rejects.toEqual(failsWith('MALFORMED'));
  });

  it('answers parallel calls each with its own answer', async () => {
    const digests = Array.from({ length: 40 }, () => randomBytes(32));
    const tags = await Promise.all(digests.map((digest) => port.mac(digest)));
    await Promise.all(digests.map((digest, i) => port.verifyMac({ epoch, digest, tag: tags[i] as Uint8Array })));
    expect(new Set(tags.map((tag) => Buffer.from(tag).toString('hex'))).size).toBe(40);
  });

  it('tells BUSY at once when its queue is full, and serves again afterwards', async () => {
    const results = await Promise.allSettled(Array.from({ length: 60 }, () => port.mac(randomBytes(32))));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toEqual(failsWith('BUSY'));
    await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
  });

  it('opens a new session when its own was closed behind its back', async () => {
    const other = openModule(module);
    for (const slot of other.C_GetSlotList(true)) other.C_CloseAllSessions(slot);
    await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
  });

  it('initialises the module again when that was finalised', async () => {
    openModule(module).C_Finalize();
    await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
  });

  it('gives leaked memory back after so many objects, without a refused call', async () => {
    events.length = 0;
    const caller = async () => {
      for (let i = 0; i < 20; i++) await port.newOprfKey(multiple(2n));
    };
    await Promise.all(Array.from({ length: 8 }, caller)); // some are under way, and some wait, each time
    expect(events.length).toBeGreaterThanOrEqual(2);
    expect(events).toEqual(Array.from(events, () => ({ kind: 'module-recycled' })));
  });

  it('keeps no copy of the PIN between logins', () => {
    expect(handedOut.length).toBeGreaterThan(2); // opened, and opened anew
    for (const held of handedOut) expect(held.expose().every((byte) => byte === 0)).toBe(true);
  });

  it('answers what is under way, then takes nothing more', async () => {
    const last = port.mac(randomBytes(32));
    await port.close();
    await expect(last).resolves.toHaveLength(32);
    await expect(port.mac(randomBytes(32))).rejects.toEqual(failsWith('TOKEN_UNAVAILABLE'));
    const bystander = new pkcs11js.PKCS11();
    bystander.load(module);
    expect(() => bystander.C_Initialize(initialiseOptions(initParameters))).not.toThrow(); // ALREADY_INITIALIZED if it were not finalised
    bystander.C_Finalize();
  });
});
