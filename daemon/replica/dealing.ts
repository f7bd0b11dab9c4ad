import { create } from '@bufbuild/protobuf';
import pLimit from 'p-limit';
import { split } from 'shamir-secret-sharing';
import { toHex } from '../../primitives/bytes.ts';
import { KeepRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { renderOwnerList } from '../../protocol/owner-list.ts';
import { meeting, type Terms } from '../../protocol/terms.ts';
import type { Generation } from '../ledger/guarded.ts';
import { dealName, renderSeedShare } from '../ledger/seed-share.ts';
import { askAll } from './fan-out.ts';
import type { Fleet } from './fleet.ts';
import type { Participant } from './participant.ts';

const AT_ONCE = 8;

/**
 * Shares this replica's seeds among the other guards, t of which give one back should its own guard be lost. Nothing waits for it: what was enrolled is served
 * meanwhile, by t others too. Each deal is a fresh polynomial, made until all others confirmed the same one.
 */
export class Dealing {
  readonly #fleet: Fleet;
  /** Dealt since the start, and not confirmed by all. */
  readonly #begun = new Set<string>();
  readonly #sequence: bigint;
  #dealt = 0;
  #isOwed = false;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
    this.#sequence = fleet.vault.guard.sequence;
  }

  /** One round over what is not dealt. Returns of how many records there is no full deal yet. */
  async round(isStopped: () => boolean): Promise<number> {
    await this.#owe();
    const limit = pLimit(AT_ONCE);
    const failures: unknown[] = [];
    let undealt = 0;
    const deal = async (rid: Uint8Array) => {
      const isDealt = !isStopped() && (await this.#deal(rid).catch((error: unknown) => void failures.push(error)));
      if (!isDealt) undealt++;
    };
    const running: Promise<void>[] = [];
    for await (const rid of this.#fleet.vault.guard.undealt()) {
      if (isStopped()) break;
      running.push(limit(() => deal(rid)));
    }
    await Promise.all(running); // one that fails does not hold up the others, and none goes on into the next round
    if (failures.length > 0) throw failures[0];
    return undealt;
  }

  /** Once: the statement in force says among whom seeds are shared. */
  async #owe(): Promise<void> {
    if (this.#isOwed) return;
    const { statement, self, guard } = this.#fleet.vault;
    const others = statement.replicas.filter(({ index }) => index !== self.index);
    await guard.oweDealsTo(others.map(({ index, guardIncarnation }) => `${index}:${guardIncarnation}`).join());
    this.#isOwed = true;
  }

  /** Whether all others have a share now, or nobody needs one, of an epoch that is served no more. Where fewer than t others remain nobody can have it: a gap that stays. */
  async #deal(rid: Uint8Array): Promise<boolean> {
    const { vault, participants, present } = this.#fleet;
    const { live } = await vault.guard.read(rid);
    const terms = live && vault.statement.terms.get(Number(live.body.epoch));
    if (!live || !terms) return true;
    const { threshold, remaining } = terms;
    const others = participants.filter(({ index }) => index !== vault.self.index && remaining.has(index));
    const name = toHex(live.bodyHash);
    if (others.length < threshold || (this.#begun.has(name) && !others.every(({ index }) => present().has(index)))) return false;
    this.#begun.add(name);
    const isConfirmed = await dealAmong(this.#fleet, live, others, terms, dealName(this.#sequence, ++this.#dealt));
    if (!isConfirmed) return false;
    this.#begun.delete(name);
    await vault.guard.dealt(rid, live.body.g);
    return true;
  }
}

/** Whether all have it, or nobody needs it: so many serve a later one that t do not serve this one any more. What lies beside the record goes along, to guards that serve it and lack it. */
async function dealAmong(
  { vault }: Fleet,
  { body, subRecord }: Generation,
  others: readonly Participant[],
  terms: Terms,
  deal: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const { rid, g, line, epoch, number } = body;
  const { seed, enrolledAtMs, mac, signature } = subRecord;
  const { guardIncarnation: guard } = vault.self;
  const list = await vault.guard.list(rid);
  const beside = list ? { list: renderOwnerList(list) } : {};
  const shares = await split(Uint8Array.from(seed), others.length, terms.threshold);
  const ask = ({ index, calls }: Participant) => {
    const share = shares[others.findIndex((other) => other.index === index)] as Uint8Array<ArrayBuffer>;
    const message = renderSeedShare({ g, line, epoch, number, deal, share, enrolledAtMs, mac, signature, guard });
    return calls.keep(create(KeepRequestSchema, { rid, epoch: BigInt(vault.statement.epoch), share: message, ...beside }));
  };
  const { answers, failures } = await askAll(others, ask, { enough: others.length, grace: 0, clock: vault.clock });
  for (const share of shares) share.fill(0);
  const replaced = [...failures.values()].filter(({ code }) => code === 'GENERATION_UNKNOWN').length;
  const isConfirmed = [...answers.values()].filter(({ listMissing }) => !listMissing).length === others.length;
  return isConfirmed || replaced >= meeting(terms);
}
