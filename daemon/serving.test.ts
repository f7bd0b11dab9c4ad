import { HealthImplementation } from 'grpc-health-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Bytes } from '../primitives/bytes.ts';
import { systemClock } from '../primitives/clock.ts';
import { VaultError } from '../primitives/errors.ts';
import type { TokenFault } from '../protocol/token-fault.ts';
import { Serving } from './serving.ts';
import { Events } from './telemetry/events.ts';
import { createLog } from './telemetry/log.ts';

let said: Map<string, string>;
let answer: () => Promise<void>;
let readGuard: () => Promise<Bytes>;
let fault: TokenFault | undefined;
let change: () => void;
const onLost = vi.fn();
let serving: Serving;

beforeEach(() => {
  vi.useFakeTimers();
  said = new Map();
  answer = async () => {};
  readGuard = async () => new Uint8Array(32);
  fault = undefined;
  const health = new HealthImplementation({});
  vi.spyOn(health, 'setStatus').mockImplementation((service, status) => void said.set(service, status));
  serving = new Serving({
    health,
    events: new Events(createLog('error', 1)),
    clock: systemClock,
    store: { fault: () => undefined },
    token: {
      fault: () => fault,
      onChange: (listener) => {
        change = listener;
      },
    },
    guard: { readBootRecord: () => readGuard() },
    tenure: { expectOurs: () => answer() },
    onLost,
  });
  serving.start();
});

afterEach(() => {
  serving.stop();
  onLost.mockReset();
  vi.useRealTimers();
});

test('a token that is lost is said at once, by its cause, and so is its return', async () => {
  await vi.advanceTimersByTimeAsync(10);
  expect(said.get('')).toBe('SERVING');
  fault = 'absent';
  answer = async () => {
    throw new VaultError('TOKEN_UNAVAILABLE', 'gone');
  };
  change();
  await vi.advanceTimersByTimeAsync(1);
  expect([said.get(''), said.get('token.absent'), said.get('token.silent')]).toEqual(['NOT_SERVING', 'NOT_SERVING', 'SERVING']);
  fault = undefined;
  answer = async () => {};
  change();
  await vi.advanceTimersByTimeAsync(1);
  expect([said.get(''), said.get('token.absent')]).toEqual(['SERVING', 'SERVING']);
});

test('a token that does not answer is silent, and is asked one question only', async () => {
  await vi.advanceTimersByTimeAsync(10);
  let questions = 0;
  let release = () => {};
  answer = () => {
    questions++;
    return new Promise((resolve) => {
      release = resolve;
    });
  };
  await vi.advanceTimersByTimeAsync(2100);
  expect([said.get(''), said.get('token.silent')]).toEqual(['NOT_SERVING', 'NOT_SERVING']);
  await vi.advanceTimersByTimeAsync(5000);
  expect(questions).toBe(1);
  answer = async () => {};
  release();
  await vi.advanceTimersByTimeAsync(600);
  expect(said.get('')).toBe('SERVING');
});

test('a token that hangs stays silent when the question is given up, and is said within a second', async () => {
  await vi.advanceTimersByTimeAsync(310); // a look has just been answered
  answer = () => new Promise((_, reject) => setTimeout(() => reject(new VaultError('TOKEN_UNAVAILABLE', 'no answer in time')), 5000));
  await vi.advanceTimersByTimeAsync(900);
  expect(said.get('token.silent')).toBe('NOT_SERVING');
  for (let i = 0; i < 150; i++) {
    await vi.advanceTimersByTimeAsync(100);
    expect([said.get('token.silent'), said.get('token.failing')]).toEqual(['NOT_SERVING', 'SERVING']);
  }
});

test('a lost token is said also while the guard hangs', async () => {
  await vi.advanceTimersByTimeAsync(10);
  readGuard = () => new Promise(() => {});
  fault = 'absent';
  answer = () => Promise.reject(new VaultError('TOKEN_UNAVAILABLE', 'gone'));
  change();
  await vi.advanceTimersByTimeAsync(1);
  expect([said.get(''), said.get('token.absent')]).toEqual(['NOT_SERVING', 'NOT_SERVING']);
});

test('a guard that cannot be read is said, as long as it cannot', async () => {
  await vi.advanceTimersByTimeAsync(10);
  expect([said.get(''), said.get('guard.failing')]).toEqual(['SERVING', 'SERVING']);
  readGuard = () => Promise.reject(new Error('EIO'));
  await vi.advanceTimersByTimeAsync(500);
  expect([said.get(''), said.get('guard.failing'), said.get('token.failing')]).toEqual(['NOT_SERVING', 'NOT_SERVING', 'SERVING']);
  readGuard = () => new Promise(() => {}); // a disk that hangs
  await vi.advanceTimersByTimeAsync(3000);
  expect(said.get('guard.failing')).toBe('NOT_SERVING');
});

test('a token that another daemon served with ends this one', async () => {
  await vi.advanceTimersByTimeAsync(10);
  const mismatch = new VaultError('GUARD_MISMATCH', 'another daemon');
  fault = 'taken';
  answer = () => Promise.reject(mismatch);
  change();
  await vi.advanceTimersByTimeAsync(1);
  expect(onLost).toHaveBeenCalledExactlyOnceWith(mismatch);
  expect(said.get('')).toBe('NOT_SERVING');
});
