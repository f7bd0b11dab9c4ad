import { setTimeout as delay } from 'node:timers/promises';
import { Account } from './account.ts';
import type { Device } from './device.ts';
import type { Prng } from './prng.ts';

export interface WorkloadOptions {
  readonly devices: readonly Device[];
  readonly random: Prng;
  readonly rid: (recordId: string) => string;
  /** So many at a time: few enough that devices meet. */
  readonly accountsAtOnce: number;
  /** Attempts that an account allows: one of these. */
  readonly limits: readonly number[];
}

const actions = { guess: 100, again: 6, recover: 5, wrong: 3, enrol: 2, enrolAgain: 3, look: 2 } as const;

const HOLDS: readonly number[] = [500, 2000, 3_600_000]; // the last one is over for nobody: it takes an approval

/** Users and their devices: right codes, wrong codes, changes of code, and the same bytes again, several devices to an account; of some the recoveries are held. */
export class Workload {
  readonly accounts: Account[] = [];
  readonly #options: WorkloadOptions;
  readonly #active: Account[] = [];
  #isOver = false;

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  /** Until `end` is called; then it may be run on. */
  async run(): Promise<void> {
    this.#isOver = false;
    await Promise.all(this.#options.devices.map((device) => this.#use(device, this.#options.random.fork())));
  }

  end(): void {
    this.#isOver = true;
  }

  /** Accounts that are in use now. */
  get active(): readonly Account[] {
    return this.#active;
  }

  async #use(device: Device, random: Prng): Promise<void> {
    while (!this.#isOver) {
      if (this.#active.length < this.#options.accountsAtOnce) await this.#open(device, random);
      else await this.#act(device, random.pick(this.#active), random);
    }
  }

  async #open(device: Device, random: Prng): Promise<void> {
    const recordId = `account-${this.accounts.length + 1}`;
    const limit = random.pick(this.#options.limits);
    const account = new Account(recordId, this.#options.rid(recordId), {
      ...{ limit, coolDownMs: random.chance(0.1) ? 60 : 0 },
      holdMs: random.chance(0.4) ? random.pick(HOLDS) : 0,
    });
    this.accounts.push(account);
    this.#active.push(account);
    await device.enrol(account, newCode(random), false);
  }

  async #act(device: Device, account: Account, random: Prng): Promise<void> {
    if (account.isSpent && random.chance(0.8)) return this.#retire(account);
    switch (random.weighted(actions)) {
      case 'guess':
        return device.guess(account);
      case 'again':
        return device.guessAgain(account);
      case 'recover':
        return this.#recover(device, account, random);
      case 'wrong':
        return device.recover(account, newCode(random), { renew: false, allowFewerHolders: false });
      case 'enrol':
        return device.enrol(account, newCode(random), random.chance(0.2));
      case 'enrolAgain':
        return device.enrolAgain(account);
      case 'look':
        return device.look(account);
    }
  }

  async #recover(device: Device, account: Account, random: Prng): Promise<void> {
    const code = account.codeOf();
    if (code === undefined) return device.look(account).then(() => delay(10));
    return device.recover(account, code, { renew: true, allowFewerHolders: random.chance(0.2) });
  }

  #retire(account: Account): void {
    const i = this.#active.indexOf(account);
    if (i >= 0) this.#active.splice(i, 1);
  }
}

const newCode = (random: Prng): string => `code ${random.integer(0, 2 ** 31)} ${random.integer(0, 2 ** 31)}`;
