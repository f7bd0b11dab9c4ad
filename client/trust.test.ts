import { setImmediate } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CheckCode } from '../fleet/verify/check-codes.ts';
import { utf8 } from '../primitives/bytes.ts';
import { encodeStatement, parseStatement } from '../protocol/statement.ts';
import { InstantClock } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { DAY, SoftMemory, SoftNotary } from '../test/harness/soft-notary.ts';
import { softKey, softPolicy } from '../test/harness/test-log.ts';
import { Fleet } from './fleet.ts';
import { trustIn, trustInDraining } from './trust.ts';
import type { WitnessedPolicy } from './trust-policy.ts';

const now = new InstantClock().now();
let parties: SoftNotary;
let notary: SoftNotary;
let vault: SoftFleet;
let memory: SoftMemory;

beforeAll(async () => {
  parties = await SoftNotary.create(now);
});

/** A fleet at epoch 1, in the log; a device that saw nothing. */
function begin(): void {
  notary = parties.fork([]);
  vault = new SoftFleet();
  memory = new SoftMemory();
  publish();
}

/** Another fleet in its place, whose replicas these operators run. */
function fleetOf(operators: readonly string[]): void {
  notary = parties.fork([]);
  vault = new SoftFleet({ operators });
  publish();
}

function publish(at = now): void {
  if (!notary.entries.includes(vault.statement.bytes)) notary.append(vault.statement.bytes);
  vault.published = notary.publish(vault.statement.bytes, at);
}

const device = (changes: Partial<WitnessedPolicy> = {}, clock = new InstantClock()) =>
  new Fleet(vault.name, trustIn(notary.policy({ memory, ...changes })), vault, clock);

const expectRefused = (act: Promise<unknown>, check: CheckCode) =>
  expect(act).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED', details: { check } });

describe('a device that trusts a witness', () => {
  test('believes a statement that both signed and the log holds, and remembers epoch and checkpoint', async () => {
    begin();
    expect(await device().statement()).toMatchObject({ epoch: 1 });
    expect(memory.remembered).toEqual({
      epochLeast: 1,
      checkpoint: { origin: 'witness.example/backup-key-vault', size: 1, root: notary.leaves[0] },
    });
  });

  test('learns the next epoch from a reply, and asks for proof that the log continues', async () => {
    begin();
    const known = device();
    await known.statement();
    vault.restate();
    publish();
    const { smime, logProof } = vault.published as { smime: Uint8Array; logProof: Uint8Array };
    const bundle = { $typeName: 'backupvault.v1.ValidationBundle', smime, logProof } as const;
    expect(await known.learn({ statement: vault.statement.bytes, bundle })).toMatchObject({ epoch: 2 });
    expect(memory.remembered).toMatchObject({ epochLeast: 2, checkpoint: { size: 2 } });
    expect(vault.received('getFleet')).toHaveLength(2); // the second with the size of the first checkpoint
  });

  test('needs no proof for a checkpoint of the size that it has seen', async () => {
    begin();
    await device().statement();
    const { smime, logProof } = vault.published as { smime: Uint8Array; logProof: Uint8Array };
    const bundle = { $typeName: 'backupvault.v1.ValidationBundle', smime, logProof } as const;
    await device().learn({ statement: vault.statement.bytes, bundle });
    expect(vault.received('getFleet')).toHaveLength(1);
  });

  test('asks again once the checkpoint is too old', async () => {
    begin();
    const clock = new InstantClock();
    const known = device({}, clock);
    await known.statement();
    clock.slept = 8 * DAY;
    await expectRefused(known.statement(), 'checkpoint-stale');
    publish(clock.now());
    expect(await known.statement()).toMatchObject({ epoch: 1 });
  });

  test('keeps the statement of the bundle, whatever stands beside it', async () => {
    begin();
    vault.tamper.getFleet = (reply) => {
      reply.statement = new SoftFleet().statement.bytes;
    };
    expect((await device().statement()).hash).toEqual(vault.statement.hash);
  });

  test('demands that t keys take two operators, and believes a fleet where they do', async () => {
    begin();
    fleetOf(['west', 'east', 'north']);
    expect(await device({ operatorsLeast: 2 }).statement()).toMatchObject({ epoch: 1 });
  });

  test('lets two learn at once, of which the one that saw less is slower: the later is remembered', async () => {
    begin();
    await device().statement();
    vault.restate();
    publish();
    const { getFleet } = vault;
    let arrive = () => {};
    const isSent = new Promise<void>((sent) => {
      vault.getFleet = async (request) => {
        vault.getFleet = getFleet;
        const reply = await getFleet.call(vault, request);
        sent();
        await new Promise<void>((resolve) => {
          arrive = resolve;
        });
        return reply;
      };
    });
    const slow = device().statement();
    await isSent;
    vault.restate();
    publish();
    const other = device().statement();
    await setImmediate(); // were it not held up, it would be done by now
    arrive();
    const [before, after] = await Promise.all([slow, other]);
    expect([before.epoch, after.epoch]).toEqual([2, 3]);
    expect(memory.remembered).toMatchObject({ epochLeast: 3, checkpoint: { size: 3 } });
  });
});

describe('refused is', () => {
  test.each<[string, CheckCode, () => unknown]>([
    ['a bare statement', 'signature-missing', () => hand(undefined)],
    ['an epoch below the policy’s', 'statement-older', () => ({ epochLeast: 2 })],
    ['an epoch below one that was seen', 'statement-older', () => remember(1, notary.leaves[0] as Uint8Array, 2)],
    [
      'a fleet of which one operator has t replicas, where two are demanded',
      'operators-few',
      () => {
        fleetOf(['west', 'west', 'east']);
        return { operatorsLeast: 2 };
      },
    ],
    ['too few cosigners', 'cosignatures-few', () => hand(notary.publish(vault.statement.bytes, now, []))],
    ['a stale checkpoint', 'checkpoint-stale', () => publish(now - 8 * DAY)],
    ['another log', 'checkpoint-signature', () => ({ logPolicy: softPolicy(softKey('other.example')) })],
    ['a fork of the same size', 'log-forked', () => remember(1, notary.fork([utf8('another')]).leaves[0] as Uint8Array)],
    [
      'a fork that went on',
      'log-forked',
      () => {
        notary.append(utf8('next'));
        publish();
        return remember(1, notary.fork([utf8('another')]).leaves[0] as Uint8Array);
      },
    ],
    [
      'growth without proof',
      'log-forked',
      () => {
        remember(1, notary.leaves[0] as Uint8Array);
        notary.append(utf8('next'));
        publish();
        vault.tamper.getFleet = (reply) => {
          reply.consistency = [];
        };
      },
    ],
    [
      'a consistency proof whose hash is not 32 bytes',
      'proof-malformed',
      () => {
        remember(1, notary.leaves[0] as Uint8Array);
        notary.append(utf8('next'));
        publish();
        vault.tamper.getFleet = (reply) => {
          reply.consistency = reply.consistency.map((hash) => Uint8Array.of(...hash, 0));
        };
      },
    ],
    ['a log that shrank', 'log-shrank', () => remember(2, notary.leaves[0] as Uint8Array)],
  ])('%s', async (_what, check, change) => {
    begin();
    const changes = (change() ?? {}) as Partial<WitnessedPolicy>;
    const before = memory.remembered;
    await expectRefused(device(changes).statement(), check);
    expect(memory.remembered).toBe(before); // nothing is learnt from what is refused
  });

  test('a statement of another fleet, and nothing of it is remembered', async () => {
    begin();
    const other = new Fleet('other', trustIn(notary.policy({ memory })), vault, new InstantClock());
    await expectRefused(other.statement(), 'fleet-differs');
    expect(memory.remembered).toBeUndefined();
  });

  test.each<[string, Partial<WitnessedPolicy>]>([
    ['no epoch', { epochLeast: undefined as unknown as number }],
    ['an epoch that is none', { epochLeast: 0 }],
    ['no number of operators', { operatorsLeast: undefined as unknown as number }],
    ['a number of operators that is none', { operatorsLeast: 0 }],
    ['no age', { checkpointAgeMost: Number.NaN }],
    ['a policy of the log that is none', { logPolicy: 'log witness\nquorum none\n' }],
    ['a policy of no log', { logPolicy: utf8('quorum none\n') }],
  ])('a policy with %s', (_what, changes) => {
    begin();
    expect(() => device(changes)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });

  test('a memory that is damaged', async () => {
    begin();
    memory.load = () => Promise.reject(new Error('damaged'));
    await expect(device().statement()).rejects.toThrow('damaged');
  });

  const root = new Uint8Array(32);
  const checkpoint = { origin: 'witness.example/backup-key-vault', size: 0, root };
  test.each<[string, unknown]>([
    ['an epoch that is no number', { epochLeast: Number.NaN, checkpoint }],
    ['an epoch that is a text', { epochLeast: 'x', checkpoint }],
    ['an epoch below 1', { epochLeast: 0, checkpoint }],
    ['a broken epoch', { epochLeast: 1.5, checkpoint }],
    ['no epoch', { checkpoint }],
    ['no checkpoint', { epochLeast: 1 }],
    ['a size that is no number', { epochLeast: 1, checkpoint: { ...checkpoint, size: Number.NaN } }],
    ['a size below 0', { epochLeast: 1, checkpoint: { ...checkpoint, size: -1 } }],
    ['a short root', { epochLeast: 1, checkpoint: { ...checkpoint, root: new Uint8Array(31) } }],
    ['a root that is a text', { epochLeast: 1, checkpoint: { ...checkpoint, root: '0'.repeat(32) } }],
    ['no origin', { epochLeast: 1, checkpoint: { size: 0, root } }],
    ['null', null],
    ['a text', 'x'],
  ])('a memory with %s, by a draining fleet too, and nothing is saved over it', async (_what, damaged) => {
    begin();
    memory.remembered = damaged as typeof memory.remembered;
    await expectRefused(device().statement(), 'memory-damaged');
    const trust = trustInDraining(notary.policy({ memory }), 1);
    await expectRefused(new Fleet(vault.name, trust, vault, new InstantClock()).statement(), 'memory-damaged');
    expect(memory.remembered).toBe(damaged);
  });

  test('less of the log than the reply showed for which the proof was asked', async () => {
    begin();
    const known = device();
    await known.statement();
    const slower = vault.published;
    const before = memory.remembered;
    notary.append(utf8('next'));
    publish();
    const { smime, logProof } = vault.published as { smime: Uint8Array; logProof: Uint8Array };
    vault.published = slower; // the replica that is asked did not take the newer bundle yet
    const bundle = { $typeName: 'backupvault.v1.ValidationBundle', smime, logProof } as const;
    await expectRefused(known.learn({ statement: vault.statement.bytes, bundle }), 'log-shrank');
    expect(memory.remembered).toBe(before);
    publish();
    expect(await known.learn({ statement: vault.statement.bytes, bundle })).toMatchObject({ epoch: 1 });
  });
});

test('a draining fleet may be older than what was seen, shares the log’s history, and does not lower the epoch', async () => {
  begin();
  const old = vault.statement;
  await device().statement();
  vault = new SoftFleet({ epoch: 2 });
  publish();
  await device().statement();

  const draining = new SoftFleet();
  draining.statement = parseStatement(encodeStatement(old.document));
  draining.published = notary.publish(old.bytes, now);
  const inDraining = (epochLeast: number) =>
    new Fleet(draining.name, trustInDraining(notary.policy({ memory }), epochLeast), draining, new InstantClock());
  expect(await inDraining(1).statement()).toMatchObject({ epoch: 1 });
  expect(memory.remembered).toMatchObject({ epochLeast: 2, checkpoint: { size: 2 } });
  await expectRefused(inDraining(2).statement(), 'statement-older');

  draining.published = notary.fork([old.bytes, utf8('another')]).publish(old.bytes, now);
  await expectRefused(inDraining(1).statement(), 'log-forked');
});

describe('once a newer epoch is in force', () => {
  let old: typeof vault.statement;

  /** Epoch 2 is logged, and in force from then on; the vault still hands out epoch 1, with whatever the log says now. */
  function supersede(from: number): void {
    begin();
    old = vault.statement;
    vault.restate();
    notary.append(vault.statement.bytes);
    notary.enforce(vault.statement, from, now);
    handOld();
  }

  function handOld(at = now): void {
    vault.statement = old;
    vault.published = notary.publish(old.bytes, at);
  }

  test('the one before is refused, also by a device that saw nothing, and nothing of it is remembered', async () => {
    supersede(now);
    await expectRefused(device().statement(), 'statement-superseded');
    expect(memory.remembered).toBeUndefined();
    vault.restate();
    publish();
    expect(await device().statement()).toMatchObject({ epoch: 2 });
  });

  test('the one before is believed until the time comes, and then by nobody who knew it either', async () => {
    supersede(now + DAY);
    const clock = new InstantClock();
    const known = device({}, clock);
    expect(await known.statement()).toMatchObject({ epoch: 1 });
    clock.slept = DAY - 1;
    expect(await known.statement()).toMatchObject({ epoch: 1 });
    expect(vault.received('getFleet')).toHaveLength(1);
    clock.slept = DAY;
    await expectRefused(known.statement(), 'statement-superseded');
  });

  test('the checkpoint’s own time counts where the device’s clock is behind', async () => {
    supersede(now + 60_000);
    handOld(now + 60_000);
    await expectRefused(device().statement(), 'statement-superseded');
  });

  test('what the log said before is believed for as long as it is fresh, and no longer', async () => {
    begin();
    const clock = new InstantClock();
    const known = device({ checkpointAgeMost: DAY }, clock);
    await known.statement();
    old = vault.statement;
    vault.restate();
    notary.append(vault.statement.bytes);
    notary.enforce(vault.statement, now, now);
    clock.slept = DAY - 1;
    handOld(clock.now());
    expect(await known.statement()).toMatchObject({ epoch: 1 });
    clock.slept++;
    await expectRefused(known.statement(), 'statement-superseded');
  });

  test('of three, the oldest is refused although the time of the next has not come', async () => {
    supersede(now);
    vault.restate();
    const second = vault.statement;
    vault.restate();
    notary.append(vault.statement.bytes);
    notary.enforce(vault.statement, now + DAY, now);
    handOld();
    await expectRefused(device().statement(), 'statement-superseded');
    vault.statement = second;
    publish();
    expect(await device().statement()).toMatchObject({ epoch: 2 });
  });

  test('an epoch that is newer than the one in force is believed, and one that is logged and not in force refuses nothing', async () => {
    begin();
    notary.enforce(vault.statement, now, now);
    const first = vault.statement;
    vault.restate();
    publish();
    expect(await device().statement()).toMatchObject({ epoch: 2 });
    memory = new SoftMemory();
    vault.statement = first;
    publish();
    expect(await device().statement()).toMatchObject({ epoch: 1 });
  });

  test('another fleet of the same log is not concerned', async () => {
    begin();
    const { document } = vault.statement;
    const other = parseStatement(encodeStatement({ ...document, fleet: 'other', epoch: 9 }));
    notary.append(other.bytes);
    notary.enforce(other, now, now);
    publish();
    expect(await device().statement()).toMatchObject({ epoch: 1 });
  });

  test('a fleet that is being replaced is believed down to the epoch that the app names', async () => {
    supersede(now);
    const inDraining = (epochLeast: number) =>
      new Fleet(vault.name, trustInDraining(notary.policy({ memory }), epochLeast), vault, new InstantClock());
    expect(await inDraining(1).statement()).toMatchObject({ epoch: 1 });
    await expectRefused(inDraining(2).statement(), 'statement-older');
  });
});

const hand = (published: typeof vault.published) => {
  vault.published = published;
};

const remember = (size: number, root: Uint8Array, epochLeast = 1) => {
  memory.remembered = { epochLeast, checkpoint: { origin: notary.log.key.name, size, root } };
};
