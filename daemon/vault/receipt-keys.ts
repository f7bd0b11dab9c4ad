import type { KeyObject } from 'node:crypto';
import type { Statement } from '../../protocol/statement.ts';
import { publicKey } from './ecdsa.ts';

/** V_i of every replica, by index. */
export const receiptKeys = (statement: Statement): Map<number, KeyObject> =>
  new Map(statement.replicas.map(({ index, receiptKey }) => [index, publicKey(receiptKey)]));
