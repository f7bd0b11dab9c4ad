import { generateKeyPairSync } from 'node:crypto';
import { create, toJson } from '@bufbuild/protobuf';
import {
  Client as Channel,
  Metadata,
  Server,
  ServerCredentials,
  type StatusObject,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { decodeJwt } from 'jose';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { VaultTransport } from '../client/transport.ts';
import { Authority, type Identity, validityFrom } from '../fleet/produce/authority.ts';
import { frontendSubject, replicaSubject } from '../fleet/produce/certificates.ts';
import { serviceDefinition } from '../grpc/bridge.ts';
import { toHex } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import * as pb from '../proto/gen/backupvault/v1/vault_pb.ts';
import { ERROR_METADATA, encodeError } from '../protocol/error-info.ts';
import { ridFor } from '../protocol/record-id.ts';
import { accountTranscript, beginEnrolmentTranscript, bodyTranscript, eraseTranscript, pointTranscript } from '../protocol/transcripts.ts';
import { goldenBody } from '../test/golden/arguments.ts';
import { PATIENCE } from '../test/harness/patience.ts';
import { GrantSigner } from './grant-signer.ts';
import { frontendTransport, type RecoveryNotice } from './transport.ts';
import { VaultConnection, type VaultConnectionOptions } from './vault-connection.ts';

let authority: Authority;
let replica: Identity;
let frontend: Identity;
const cleanup: (() => void)[] = [];

beforeAll(async () => {
  const validity = validityFrom(Date.now());
  authority = await Authority.create('test', validity);
  replica = await authority.issue(replicaSubject('test-fleet', 1));
  frontend = await authority.issue(frontendSubject('acme'));
});
afterEach(() => {
  for (const close of cleanup.splice(0)) close();
});

type Behaviour = (request: never) => object | VaultError | Partial<StatusObject> | 'never';

interface TestReplica {
  readonly address: string;
  readonly asked: object[];
}

/** A replica that answers every call alike, once `other` was asked too. Returns its address and what it was asked. */
async function startReplica(behave: Behaviour, other?: TestReplica): Promise<TestReplica> {
  const asked: object[] = [];
  const handler = ({ request }: { request: object }, reply: (error: Partial<StatusObject> | null, response?: object) => void) => {
    asked.push(request);
    const answer = behave(request as never);
    if (answer === 'never') return;
    if (answer instanceof VaultError) {
      const metadata = new Metadata();
      metadata.set(ERROR_METADATA, Buffer.from(encodeError(answer)));
      reply({ code: status.FAILED_PRECONDITION, metadata });
    } else if ('code' in answer) reply(answer);
    else void isAsked(other).then(() => reply(null, answer));
  };
  const server = new Server();
  const methods = Object.fromEntries(pb.VaultService.methods.map(({ localName }) => [localName, handler]));
  server.addService(serviceDefinition(pb.VaultService), methods as unknown as UntypedServiceImplementation);
  const pair = { private_key: Buffer.from(replica.key), cert_chain: Buffer.from(replica.certificate) };
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('localhost:0', ServerCredentials.createSsl(Buffer.from(authority.certificate), [pair], true), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  cleanup.push(() => server.forceShutdown());
  return { address: `localhost:${port}`, asked };
}

const isAsked = async (replica: TestReplica | undefined) => replica && vi.waitFor(() => expect(replica.asked).not.toEqual([]), PATIENCE);

const AWAY = 'localhost:1'; // nobody listens there

/** For what answers, on a machine that does other things too; what does not is waited for as long. */
const ANSWERING = 3000;

/** One after the other: each is given up before the next is asked. */
const connect = (...addresses: string[]) => connectWith({ callTimeout: ANSWERING, patience: 2 * ANSWERING }, addresses);

function connectWith(patience: Pick<VaultConnectionOptions, 'callTimeout' | 'patience'>, addresses: readonly string[]): VaultConnection {
  const tls = { cert: frontend.certificate, key: frontend.key, ca: authority.certificate };
  const connection = new VaultConnection({ addresses, tls, connectTimeout: ANSWERING, ...patience });
  cleanup.push(() => connection.close());
  return connection;
}

const getFleet = async (connection: VaultConnection) =>
  toHex((await connection.call((vault, options) => vault.getFleet({}, options))).statement);
const answering = () => startReplica(() => ({ statement: Uint8Array.of(7) }));

describe('one call', () => {
  test('is served by the first replica that is there', async () => {
    const [first, second] = [await answering(), await answering()];
    expect(await getFleet(connect(first.address, second.address))).toBe('07');
    expect(second.asked).toEqual([]);
    expect(await getFleet(connect(AWAY, second.address))).toBe('07');
  });

  test.each<[string, Behaviour]>([
    ['does not answer in time', () => 'never'],
    ['breaks off', () => ({ code: status.UNAVAILABLE })],
    ['resets the stream', () => ({ code: status.INTERNAL })],
    ['is busy', () => new VaultError('BUSY', 'busy')],
    ['has a clock that is wrong', () => new VaultError('GRANT_EXPIRED', 'from the future')],
    ['has lost its token', () => new VaultError('TOKEN_UNAVAILABLE', 'gone')],
    ['serves under another statement', () => new VaultError('STATEMENT_MISMATCH', 'epoch 2')],
    ['says that the attempt is another point’s', () => new VaultError('ATTEMPT_CONFLICT', 'another point')],
    ['cannot see its peers', () => new VaultError('NOT_ENOUGH_REPLICAS', 'alone')],
  ])('goes to the next replica when one %s', async (_, behave) => {
    const [first, second] = [await startReplica(behave), await answering()];
    expect(await getFleet(connect(first.address, second.address))).toBe('07');
    expect(first.asked.length).toBe(1);
  });

  test('asks the next as well when one takes long, and takes the answer that comes first', async () => {
    const [first, second] = [await startReplica(() => 'never'), await answering()];
    const connection = connectWith({ callTimeout: 60_000, patience: ANSWERING }, [first.address, second.address]);
    expect(await getFleet(connection)).toBe('07');
    expect(await getFleet(connection)).toBe('07');
    expect([first.asked.length, second.asked.length]).toEqual([1, 2]);
  });

  test('waits for a slow replica where no other one serves', async () => {
    const alone = await startReplica(() => new VaultError('NOT_ENOUGH_REPLICAS', 'alone'));
    const slow = await startReplica(() => ({ statement: Uint8Array.of(9) }), alone);
    expect(await getFleet(connectWith({ callTimeout: 60_000, patience: 50 }, [slow.address, alone.address, AWAY]))).toBe('09');
  });

  test('goes to no other replica when one has decided', async () => {
    const details = { attemptsUsed: 3, attemptsLimit: 10, notBefore: 1_800_000_000_000 };
    const [first, second] = [await startReplica(() => new VaultError('COOLING_DOWN', 'wait', { details })), await answering()];
    await expect(getFleet(connect(first.address, second.address))).rejects.toMatchObject({ code: 'COOLING_DOWN', details });
    expect(second.asked).toEqual([]);
  });

  test('is OUTCOME_UNKNOWN when a replica may have acted and none says what happened', async () => {
    const silent = await startReplica(() => 'never');
    const alone = await startReplica(() => new VaultError('NOT_ENOUGH_REPLICAS', 'alone'));
    await expect(getFleet(connect(silent.address, alone.address, AWAY))).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  test('is NOT_ENOUGH_REPLICAS when none can be reached, or trusts us, or is trusted by us', async () => {
    await expect(getFleet(connect(AWAY))).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
    const { address } = await answering();
    const stranger = await Authority.create('stranger', validityFrom(Date.now()));
    const tls = { cert: frontend.certificate, key: frontend.key, ca: stranger.certificate };
    const connection = new VaultConnection({ addresses: [address], tls, connectTimeout: ANSWERING });
    cleanup.push(() => connection.close());
    await expect(getFleet(connection)).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  });

  test('asks a replica that did not answer last from then on', async () => {
    const [first, second] = [await startReplica(() => 'never'), await answering()];
    const connection = connect(first.address, second.address);
    await getFleet(connection);
    await getFleet(connection);
    expect(first.asked.length).toBe(1);
    expect(second.asked.length).toBe(2);
  });

  test('with each turn asks another replica first, and each once in as many turns as there are', async () => {
    const replicas = [await answering(), await answering(), await answering()];
    const connection = connect(...replicas.map(({ address }) => address));
    for (const [turn, counts] of [
      [1, 0, 1, 0],
      [2, 0, 1, 1],
      [3, 1, 1, 1],
      [4, 1, 2, 1],
    ].map(([turn, ...counts]) => [turn, counts] as const)) {
      await connection.call((vault, options) => vault.getFleet({}, options), turn);
      expect(replicas.map(({ asked }) => asked.length)).toEqual(counts);
    }
    await getFleet(connection);
    expect(replicas.map(({ asked }) => asked.length)).toEqual([2, 2, 1]); // the order of preference is what it was
  });

  test('with a turn goes on to the next replica, but asks nobody last from then on', async () => {
    const [first, silent, third] = [await answering(), await startReplica(() => 'never'), await answering()];
    const connection = connect(first.address, silent.address, third.address);
    for (let i = 0; i < 2; i++) await connection.call((vault, options) => vault.getFleet({}, options), 1);
    expect([first, silent, third].map(({ asked }) => asked.length)).toEqual([0, 2, 2]);
  });

  test('does not wait again for a replica that could not be connected to', async () => {
    const [first, third] = [await answering(), await answering()];
    const connection = connect(first.address, AWAY, third.address);
    const connecting = vi.spyOn(Channel.prototype, 'waitForReady');
    for (const waits of [2, 1]) {
      connecting.mockClear();
      await connection.call((vault, options) => vault.getFleet({}, options), 1);
      expect(connecting).toHaveBeenCalledTimes(waits);
    }
    expect([first, third].map(({ asked }) => asked.length)).toEqual([0, 2]);
    connecting.mockRestore();
  });

  test.each(['TICKET_REFUSED', 'TICKET_EXPIRED'] as const)('is %s where nobody else was asked, or all say so', async (code) => {
    const [first, second] = [await startReplica(() => new VaultError(code, 'restarted')), await answering()];
    await expect(getFleet(connect(first.address, second.address))).rejects.toMatchObject({ code });
    expect(second.asked).toEqual([]);
    await expect(getFleet(connect(AWAY, first.address, second.address))).rejects.toMatchObject({ code });
  });

  // On TICKET_REFUSED alone a client begins again: it must not hear it while the enrolment may have been stored.
  test.each<[string, Behaviour, object]>([
    ['may have acted', () => 'never', { code: 'OUTCOME_UNKNOWN' }],
    ['broke off', () => ({ code: status.UNAVAILABLE }), { code: 'OUTCOME_UNKNOWN' }],
    ['saw too few others', () => new VaultError('NOT_ENOUGH_REPLICAS', 'alone'), { code: 'NOT_ENOUGH_REPLICAS' }],
    ['could not reach etcd', () => new VaultError('STORE_UNAVAILABLE', 'etcd'), { code: 'STORE_UNAVAILABLE' }],
  ])('is not TICKET_REFUSED where another replica %s', async (_, behave, expected) => {
    const [first, second] = [await startReplica(behave), await startReplica(() => new VaultError('TICKET_REFUSED', 'restarted'))];
    await expect(getFleet(connect(first.address, second.address))).rejects.toMatchObject(expected);
  });

  test('is what a slow replica answers, though another one refuses the ticket meanwhile', async () => {
    const restarted = await startReplica(() => new VaultError('TICKET_REFUSED', 'restarted'));
    const slow = await startReplica(() => ({ statement: Uint8Array.of(9) }), restarted);
    expect(await getFleet(connectWith({ callTimeout: 60_000, patience: 50 }, [slow.address, restarted.address]))).toBe('09');
  });

  test('is TOO_LARGE beyond the limit of messages', async () => {
    const { address } = await answering();
    const large = connect(address).call((vault, options) => vault.describeRecord({ recordId: 'x'.repeat(70_000) }, options));
    await expect(large).rejects.toMatchObject({ code: 'TOO_LARGE' });
  });

  test('needs an address', () => {
    expect(() => connect()).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

describe('a device’s request', () => {
  const { privateKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const recordId = 'account-1';
  const g = new Uint8Array(16).fill(5);
  const [point, proofKey] = [new Uint8Array(33).fill(2), new Uint8Array(33).fill(3)];
  const rid = ridFor('test-fleet', 'acme', recordId);

  test.each<[string, Uint8Array, Uint8Array, (vault: VaultTransport) => Promise<object>]>([
    [
      'begin-enrolment',
      g,
      beginEnrolmentTranscript(point, proofKey).digest,
      (vault) => vault.beginEnrollment(create(pb.BeginEnrollmentRequestSchema, { recordId, g, point, proofKey })),
    ],
    [
      'finish-enrolment',
      goldenBody.g,
      bodyTranscript(goldenBody).digest,
      (vault) => vault.finishEnrollment(create(pb.FinishEnrollmentRequestSchema, { recordId, body: goldenBody })),
    ],
    [
      'begin-recovery',
      g,
      pointTranscript(point).digest,
      (vault) => vault.beginRecovery(create(pb.BeginRecoveryRequestSchema, { recordId, g, point })),
    ],
    ['erase', g, eraseTranscript(rid, g).digest, (vault) => vault.eraseRecord(create(pb.EraseRecordRequestSchema, { recordId, g }))],
  ])('gets a grant for %s, and nothing else changes', async (operation, generation, authorises, send) => {
    const { address, asked } = await startReplica(() => ({}));
    const signer = new GrantSigner({ pem: privateKey, kid: '1' });
    await send(frontendTransport({ connection: connect(address), signer, fleet: 'test-fleet', tenant: 'acme', account: recordId }));
    const [request] = asked as [{ grant: string; recordId: string }];
    expect(request.recordId).toBe(recordId);
    expect(decodeJwt(request.grant)).toMatchObject({
      fleet: 'test-fleet',
      tenant: 'acme',
      operation,
      account: toHex(accountTranscript('test-fleet', 'acme', recordId).digest),
      g: toHex(generation),
      authorises: toHex(authorises),
    });
  });

  // One who is signed in would begin, finish or erase in another one's name, and spend their attempts.
  test.each<[string, (vault: VaultTransport, recordId: string) => Promise<object>]>([
    ['describe', (vault, other) => vault.describeRecord(create(pb.DescribeRecordRequestSchema, { recordId: other }))],
    ['enrol', (vault, other) => vault.beginEnrollment(create(pb.BeginEnrollmentRequestSchema, { recordId: other, g, point, proofKey }))],
    ['store', (vault, other) => vault.finishEnrollment(create(pb.FinishEnrollmentRequestSchema, { recordId: other, body: goldenBody }))],
    ['guess', (vault, other) => vault.beginRecovery(create(pb.BeginRecoveryRequestSchema, { recordId: other, g, point }))],
    ['release', (vault, other) => vault.finishRecovery(create(pb.FinishRecoveryRequestSchema, { recordId: other, g }))],
    ['veto', (vault, other) => vault.decideHold(create(pb.DecideHoldRequestSchema, { recordId: other, g }))],
    ['erase', (vault, other) => vault.eraseRecord(create(pb.EraseRecordRequestSchema, { recordId: other, g }))],
  ])('to %s for another account than the one that is signed in is refused, and nothing is signed or sent', async (_, send) => {
    const { address, asked } = await startReplica(() => ({}));
    const signer = new GrantSigner({ pem: privateKey, kid: '1' });
    const sign = vi.spyOn(signer, 'sign');
    const transport = frontendTransport({ connection: connect(address), signer, fleet: 'f', tenant: 't', account: recordId });
    for (const other of ['account-2', '', 'account-1 ', 'Account-1'])
      await expect(send(transport, other)).rejects.toMatchObject({ code: 'GRANT_REFUSED' });
    expect(sign).not.toHaveBeenCalled();
    expect(asked).toEqual([]);
  });

  test('that says its turn goes to another replica first', async () => {
    const replicas = [await startReplica(() => ({})), await startReplica(() => ({}))];
    const transport = frontendTransport({
      connection: connect(...replicas.map(({ address }) => address)),
      signer: new GrantSigner({ pem: privateKey, kid: '1' }),
      ...{ fleet: 'f', tenant: 't', account: recordId },
    });
    for (const turn of [0, 1]) await transport.finishRecovery(create(pb.FinishRecoveryRequestSchema, { recordId, g, turn }));
    expect(replicas.map(({ asked }) => asked)).toMatchObject([[{ turn: 0 }], [{ turn: 1 }]]);
    const begin = { recordId, g, point, proofKey };
    for (const turn of [0, 1]) await transport.beginEnrollment(create(pb.BeginEnrollmentRequestSchema, { ...begin, turn }));
    expect(replicas.map(({ asked }) => asked[1])).toMatchObject([{ turn: 0 }, { turn: 1 }]);
    for (const turn of [0, 1]) await transport.beginRecovery(create(pb.BeginRecoveryRequestSchema, { recordId, g, point, turn }));
    expect(replicas.map(({ asked }) => asked[2])).toMatchObject([{ turn: 0 }, { turn: 1 }]);
  });

  test('is told on before the device hears of it, and again with each time that it is sent', async () => {
    const held = [1n, 5n, 3n].map((untilMs, i) => ({ index: i + 1, untilMs }));
    const { address } = await startReplica((request) => ('proof' in request ? { held } : { attempt: 2 }));
    const told: RecoveryNotice[] = [];
    let isDown = true;
    const notify = async (notice: RecoveryNotice) => {
      if (isDown) throw new Error('no connection');
      told.push(notice);
    };
    const signer = new GrantSigner({ pem: privateKey, kid: '1' });
    const transport = frontendTransport({ connection: connect(address), signer, fleet: 'f', tenant: 't', account: recordId, notify });
    const begin = () => transport.beginRecovery(create(pb.BeginRecoveryRequestSchema, { recordId, g, point }));
    const finish = () => transport.finishRecovery(create(pb.FinishRecoveryRequestSchema, { recordId, g, attempt: 2, point }));
    for (const send of [begin, finish]) await expect(send()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    isDown = false;
    for (const send of [begin, begin, finish]) await send();
    const named = { recordId, rid: ridFor('f', 't', recordId), g, attempt: 2, pointHash: pointTranscript(point).digest };
    const attempt = { ...named, kind: 'attempt', until: 0 };
    expect(told).toEqual([attempt, attempt, { ...named, kind: 'held', until: 5 }]);
  });

  test('without a grant is relayed as it is', async () => {
    const { address, asked } = await startReplica(() => ({}));
    const transport = frontendTransport({
      connection: connect(address),
      signer: new GrantSigner({ pem: privateKey, kid: '1' }),
      ...{ fleet: 'f', tenant: 't', account: recordId },
    });
    const request = create(pb.FinishRecoveryRequestSchema, { recordId, g, attempt: 2, point, blindedBase: point, proof: g, turn: 3 });
    await transport.finishRecovery(request);
    await transport.describeRecord(create(pb.DescribeRecordRequestSchema, { recordId, knownEpoch: 3n }));
    await transport.getFleet(create(pb.GetFleetRequestSchema));
    expect(toJson(pb.FinishRecoveryRequestSchema, asked[0] as typeof request)).toEqual(toJson(pb.FinishRecoveryRequestSchema, request));
    expect(asked[1]).toMatchObject({ recordId, knownEpoch: 3n });
    expect(asked.length).toBe(3);
  });
});
