import { performance } from 'node:perf_hooks';
import type { Module } from '../pkcs11/module.ts';

/** A module that is passed through, and a clock that runs while it works: what the host computes around it does not count. */
export class TimedModule {
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
