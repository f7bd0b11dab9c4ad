import { performance } from 'node:perf_hooks';
import { isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { SecretBytes } from '../../../primitives/secret-bytes.ts';
import { closeQuietly, type ReplicaToken } from '../keys/replica.ts';
import { refusedBy } from '../pkcs11/failure.ts';
import type { Module, SlotId } from '../pkcs11/module.ts';
import { TokenSession } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';
import type { Step, StepResult, TrialResult } from './messages.ts';
import type { Probe } from './probe.ts';
import { allProbes, type ProbeResult, runProbe } from './probes.ts';
import { trials } from './trial.ts';
import { type Kept, makeTrialKeys, sweep } from './trial-keys.ts';

interface BenchOptions {
  readonly module: Module;
  readonly slot: SlotId;
  readonly profile: Profile;
  /** One that the token took. */
  readonly pin: SecretBytes;
  readonly kept: Kept;
}

/** A session with a replica's keys in it, made anew whenever an attack may have changed them. */
export class Bench {
  readonly #options: BenchOptions;
  readonly #timed: TimedModule;
  #session: TokenSession;
  #token: ReplicaToken | undefined;

  constructor(options: BenchOptions) {
    this.#options = options;
    this.#timed = new TimedModule(options.module);
    this.#session = this.#open();
  }

  run({ kind, name, rounds = 1 }: Step): StepResult {
    switch (kind) {
      case 'keys':
        return this.#timedly(name, rounds, () => {
          this.#renew();
          this.#timed.reset();
          this.#keys();
        });
      case 'trial': {
        const trial = named(trials, name);
        return this.#timedly(name, rounds, () => {
          const token = this.#keys();
          this.#timed.reset();
          trial.run(token, this.#options.kept);
        });
      }
      case 'attack':
        return this.#attack(named(allProbes, name));
    }
  }

  /** What was made in the token is destroyed; the rest goes with the session. */
  close(): void {
    if (this.#options.kept === 'token') sweep(this.#session);
    closeQuietly(this.#session);
  }

  #timedly(name: string, rounds: number, run: () => void): TrialResult {
    try {
      const took = Array.from({ length: rounds }, () => {
        run();
        return this.#timed.spent;
      });
      const median = took.sort((a, b) => a - b)[rounds >> 1] as number;
      return { name, works: true, micros: Math.round(median * 1000), calls: this.#timed.calls };
    } catch (error) {
      const [why, refused] = [this.#reason(error), refusedBy(error)];
      this.#renew(); // what failed half-way may have left its operation under way
      return { name, works: false, why, ...(refused === undefined ? {} : { refused }) };
    }
  }

  /** What could not be tried is tried once more, logged in, with new keys. */
  #attack(probe: Probe): ProbeResult {
    const first = this.#attackOnce(probe);
    return first.outcome === 'could not be tried' ? this.#attackOnce(probe) : first;
  }

  #attackOnce(probe: Probe): ProbeResult {
    const token = this.#keys();
    const result = this.#answerTo(() => runProbe(token, probe), probe);
    if (result.outcome !== 'refused') this.#renew();
    return result;
  }

  #answerTo(run: () => ProbeResult, { name, stoppedBy }: Probe): ProbeResult {
    try {
      return run();
    } catch (error) {
      if (!isVaultError(error, 'TOKEN_UNAVAILABLE')) throw error;
      return { name, stoppedBy, outcome: 'could not be tried', answer: error.message.replace(/\.$/, ''), required: true };
    }
  }

  /** Why the token does not do something. Throws what says nothing about that: faults of ours, and that the token is gone. */
  #reason(error: unknown): string {
    if (!isVaultError(error)) throw error;
    this.#session.requireLogin();
    this.#session.find({}, 1); // some say TOKEN_UNAVAILABLE of a key that they do not like
    return error.message.replace(/\.$/, '');
  }

  #keys(): ReplicaToken {
    const { slot, profile, kept } = this.#options;
    if (this.#token === undefined && kept === 'token') sweep(this.#session);
    this.#token ??= makeTrialKeys(this.#timed.module, slot, this.#session, profile, kept);
    return this.#token;
  }

  #open(): TokenSession {
    const { slot, profile, pin } = this.#options;
    const session = new TokenSession(this.#timed.module, slot);
    session.login(profile.userType, pin); // an attack may have ended the login, which is the application’s
    return session;
  }

  /** Its keys go with the session, and so does what an attack that was accepted made of them. */
  #renew(): void {
    closeQuietly(this.#session);
    this.#token = undefined;
    this.#session = this.#open();
  }
}

function named<Of extends { readonly name: string }>(all: readonly Of[], name: string): Of {
  const found = all.find((one) => one.name === name);
  if (found === undefined) throw new VaultError('INTERNAL', `There is no step ${name} of the probe.`);
  return found;
}

/** A module that is passed through, and a clock that runs while it works: what the host computes around it does not count. */
class TimedModule {
  readonly module: Module;
  /** Milliseconds in the module, and calls into it, since `reset`. */
  spent = 0;
  calls = 0;

  constructor(genuine: Module) {
    this.module = new Proxy(genuine, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? (...args: unknown[]) => this.#time(() => member.apply(target, args)) : member;
      },
    });
  }

  reset(): void {
    this.spent = 0;
    this.calls = 0;
  }

  #time<T>(call: () => T): T {
    const start = performance.now();
    try {
      return call();
    } finally {
      this.spent += performance.now() - start;
      this.calls++;
    }
  }
}
