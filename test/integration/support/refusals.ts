import { type ServiceError, status } from '@grpc/grpc-js';
import { callError } from '../../../grpc/call-error.ts';
import { type ErrorCode, isVaultError } from '../../../primitives/errors.ts';
import { flips } from '../../harness/flips.ts';

/** Why a call was refused; 'ACCEPTED' where it was not. */
export async function refusalOf(call: Promise<unknown>): Promise<ErrorCode | 'ACCEPTED'> {
  try {
    await call;
    return 'ACCEPTED';
  } catch (error) {
    return isVaultError(error) ? error.code : callError(error).code;
  }
}

/** What a caller that speaks bare gRPC sees of a refusal. */
export async function toldBy(call: Promise<unknown>): Promise<{ status: string; code: ErrorCode; sentence: string }> {
  try {
    await call;
  } catch (error) {
    const { code, message } = callError(error);
    return { status: status[(error as ServiceError).code], code, sentence: message };
  }
  throw new Error('the call was accepted');
}

/** By the path of a changed field (test/harness/flips.ts): the first pattern that matches says which code refuses the change. */
export type Rules = readonly (readonly [path: RegExp, ...codes: ErrorCode[]])[];

/**
 * Sends a message once for each single change of it. Returns what is not as the rules have it: for a bound message, nothing. A field
 * that is new in the message has no rule, and so is in the result until somebody says what refuses it.
 */
export async function surprises<T>(message: T, send: (changed: T) => Promise<unknown>, rules: Rules): Promise<string[]> {
  const found: string[] = [];
  for (const { path, value } of flips(message)) {
    const [, ...expected] = rules.find(([pattern]) => pattern.test(path)) ?? [/no rule/];
    const got = await refusalOf(send(value));
    if (!expected.some((code) => code === got)) found.push(`${path}: ${got}, not ${expected.join(' or ') || 'anything: no rule'}`);
  }
  return found;
}
