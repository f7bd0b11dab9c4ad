import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import pkcs11js from 'pkcs11js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { proofTranscript } from '../../protocol/transcripts.ts';
import { lift, xOf } from '../../protocol/x-coordinate.ts';
import { PATIENCE } from '../../test/harness/patience.ts';
import { makeTestToken, pin, storedPin } from '../../test/harness/test-token.ts';
import { openToken } from './open-token.ts';
import { openModule } from './pkcs11/module.ts';
import type { TokenEvent } from './pool/pool.ts';
import type { TokenPort } from './port.ts';
import { multiple, multiply, signWith } from './reference.ts';
import { randomScalar, ticketFields } from './software-device.ts';

// The worker is the compiled one: build first.
const { location, provisioned } = makeTestToken(afterAll, { queueLimit: 50, recycleAfterObjects: 15, callTimeout: PATIENCE.timeout });
const { profile, module, initParameters, tokenLabel, fleet, index, epoch } = location;
const options = { profile, module, initParameters, tokenLabel, fleet, index, epoch };
const { ORDER } = p256.Point.Fn;
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

  it('carries a record from enrolment to release', async () => {
    const [blind, a, tau, b] = [randomScalar(), randomScalar(), randomScalar(), randomScalar()];
    const generation = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32) };
    const point = multiple(blind);
    const offered = await port.offer({ ...generation, point, ...ticketFields(a) });
    const body = { ...generation, bodyHash: randomBytes(32), enrolledAtMs: 9n };
    const { mac } = await port.prepare({ ...body, previous: new Uint8Array(0), point, ...offered });
    const stored = { ...body, epoch, mac };

    const { evaluated } = await port.evaluate({ generation: stored, point, attempt: 1, limit: 3, used: 1 });
    expect(evaluated).toEqual(offered.evaluated);

    const blindedBase = multiple((tau * b) % ORDER);
    const { digest } = proofTranscript({ fleet, epoch, rid: body.rid, g: body.g }, 1, point, blindedBase);
    const proof = signWith(a, digest);
    const { released } = await port.release({ generation: stored, proofKey: multiple(a), attempt: 1, point, blindedBase, proof });
    expect(released).toEqual(xOf(multiply(multiply(lift(offered.releaseElement), tau), b)));

    const noPoint = Uint8Array.of(2, ...new Uint8Array(31), 1) as CompressedPoint;
    const refused = port.evaluate({ generation: stored, point: noPoint, attempt: 1, limit: 3, used: 1 });
    await expect(refused).rejects.toEqual(failsWith('MALFORMED'));
    const forged = { ...stored, mac: randomBytes(32) };
    await expect(port.evaluate({ generation: forged, point, attempt: 1, limit: 3, used: 1 })).rejects.toEqual(failsWith('MAC_REFUSED'));
  });

  it('keeps the code of an error across the thread', async () => {
    await expect(port.mac(randomBytes(31))).rejects.toEqual(failsWith('MALFORMED'));
  });

  it('answers parallel calls each with its own answer', async () => {
    const digests = Array.from({ length: 40 }, () => randomBytes(32));
    const tags = await Promise.all(digests.map((digest) => port.mac(digest)));
    for (const [i, digest] of digests.entries()) expect(await port.mac(digest)).toEqual(tags[i]);
    expect(new Set(tags.map((tag) => Buffer.from(tag).toString('hex'))).size).toBe(40);
  });

  it('tells BUSY at once when its queue is full, and serves again afterwards', async () => {
    const results = await Promise.allSettled(Array.from({ length: 60 }, () => port.mac(randomBytes(32))));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toEqual(failsWith('BUSY'));
    await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
  });

  it('opens a new session when its own was closed behind its back', async () => {
    const other = openModule(location);
    for (const slot of other.C_GetSlotList(true)) other.C_CloseAllSessions(slot);
    await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
  });

  // Where C_Finalize harms other threads, nobody may call it beside them.
  it.skipIf(profile.finalise === false)('initialises the module again when that was finalised', async () => {
    openModule(location).C_Finalize();
    await expect(port.mac(randomBytes(32))).resolves.toHaveLength(32);
  });

  it('gives leaked memory back after so many objects, without a refused call', async () => {
    events.length = 0;
    const asked = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32), point: multiple(2n) };
    const offer = { ...asked, ...ticketFields(5n) };
    const caller = async () => {
      for (let i = 0; i < 6; i++) await port.offer(offer);
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
    if (profile.finalise === false) return;
    const bystander = new pkcs11js.PKCS11();
    bystander.load(module);
    const parameters = initParameters === undefined ? {} : { libraryParameters: `${initParameters} ` };
    expect(() => bystander.C_Initialize({ flags: 2, ...parameters })).not.toThrow(); // ALREADY_INITIALIZED if it were not finalised
    bystander.C_Finalize();
  });
});
