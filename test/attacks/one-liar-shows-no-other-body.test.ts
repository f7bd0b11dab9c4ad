import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { renderShown, type Shown } from '../../daemon/ledger/guarded.ts';
import { toHex } from '../../primitives/bytes.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type ShowResponse, ShowResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { CODE, type Draft, enrolled } from '../integration/support/draft.ts';
import { eventually } from '../integration/support/eventually.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { type Liar, lieAs, silence } from './lying-peer.ts';

// A coordinator that holds nothing of a record has its body from others. Replica 5 is hostile, answers first, and shows what it likes.

const [COORDINATOR, LIAR] = [1, 5];
const HOLDERS = [2, 3, 4, LIAR];
const ANOTHER = 'another';
const TRIES = 20;
const signature = () => randomBytes(64);

let own: OwnFleet;
let liar: Liar | undefined;
let shown: (record: Shown, other: Shown) => ShowResponse;
const drafts = new Map<string, Draft>();
const records = new Map<string, Shown>();

const bent = (record: Shown, change: object): ShowResponse =>
  create(ShowResponseSchema, { shown: { ...renderShown(record), body: create(BodySchema, { ...record.body, ...change }) } });

const lies: readonly [what: string, lie: typeof shown][] = [
  ['another owner', (record) => bent(record, { ownerKey: randomBytes(32) })],
  ['another limit', (record) => bent(record, { policy: { limit: 1, coolDownMs: 0n } })],
  ['holders that there are not', (record) => bent(record, { shares: record.body.shares.filter(({ index }) => index !== 2) })],
  ['the body of another record', (_, other) => create(ShowResponseSchema, { shown: renderShown(other) })],
  ['what is no body', (record) => bent(record, { rid: record.body.rid.slice(1) })],
  ['the right body, and nobody’s signature', (record) => create(ShowResponseSchema, { shown: renderShown({ ...record, prepared: [] }) })],
  [
    'the right body, and signatures that it invents',
    (record) =>
      create(ShowResponseSchema, {
        shown: renderShown({ ...record, prepared: HOLDERS.map((index) => ({ index, signature: signature() })) }),
      }),
  ],
  ['nothing', () => create(ShowResponseSchema)],
];

/** A device whose frontend knows the coordinator alone. */
function device() {
  const { world } = own;
  const addresses = [world.client.addresses[COORDINATOR - 1] as string];
  return world.device(world.transport({ ...world.client, addresses }));
}

/** Of which each of them holds a share; one may be slow at first. */
async function enrolledByAll(name: string): Promise<Draft> {
  for (let k = 1; k <= TRIES; k++) {
    const draft = await enrolled(own.world, `${name.replaceAll(/[^a-z]+/g, '-')}-${k}`, { limit: 5, among: HOLDERS });
    if ((await own.world.store.attempts(draft.rid))?.holders.join() === HOLDERS.join()) return draft;
  }
  throw new Error(`in ${TRIES} enrolments not all replicas took part`);
}

beforeAll(async () => {
  own = await startOwnFleet({ replicas: 5, etcdMembers: 1 });
  for (const name of [...lies.map(([what]) => what), ANOTHER]) {
    const draft = await enrolledByAll(name);
    drafts.set(name, draft);
    records.set(toHex(draft.rid), await own.world.committed(draft.rid));
  }
  await own.fleet.replica(LIAR).process.stop();
  const show = async ({ rid }: { rid?: Uint8Array }) =>
    shown(records.get(toHex(rid ?? new Uint8Array(0))) as Shown, records.get(toHex((drafts.get(ANOTHER) as Draft).rid)) as Shown);
  liar = await lieAs(placesOf(own.fleet), LIAR, { name: 'shows', answers: () => ({ ...silence, show }) });
});

afterAll(async () => {
  liar?.end();
  await own?.stop();
});

afterEach(() => {
  expect(liar?.asked()).toBeGreaterThan(0);
});

describe.each(lies.map(([what, lie]) => ({ what, lie })))('that shows $what', ({ what, lie }) => {
  beforeAll(() => {
    shown = lie;
  });

  test('changes nothing of what is said of the record, of what its code opens, and of who may replace it', async () => {
    const draft = drafts.get(what) as Draft;
    const { recordId } = draft;
    const vault = device();
    const before = liar?.asked() ?? 0;
    // The coordinator may take a moment to connect to whoever listens there now.
    const describe = async () => {
      expect(await vault.describe(recordId)).toMatchObject({ state: 'live', attemptsUsed: 0, attemptsLimit: 5 });
      return (liar?.asked() ?? 0) > before;
    };
    expect(await eventually(true, describe)).toBe(true);
    const { backupKey, attempt } = await vault.recover({ recordId, code: CODE, renew: false });
    expect(backupKey.expose()).toEqual(draft.backupKey.expose());
    expect(attempt).toBe(1);
    const replacement = { recordId, code: 'another code', backupKey, policy: { limit: 5, coolDownMs: 0 }, allowFewerHolders: true };
    expect((await vault.enroll(replacement)).holders).toEqual([1, 2, 3, 4]); // the first missed what it replaces
    expect((await own.world.store.attempts(draft.rid))?.number).toBe(2n);
  });
});
