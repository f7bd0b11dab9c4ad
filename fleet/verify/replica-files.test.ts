import { describe, expect, it } from 'vitest';
import { keyRules, keyRulesWithHeir } from '../../protocol/key-rules.ts';
import { type ReplicaAttributes, verifyAttributes } from './replica-files.ts';

const read = (keys: ReplicaAttributes['keys']) => ({ name: 'replica-1', keys }) as ReplicaAttributes;
const unsafe = expect.objectContaining({ details: expect.objectContaining({ check: 'attributes-unsafe' }) });
const heir = 'ab'.repeat(32);

describe('keys of which a second token has copies', () => {
  it('are those that the plan names an heir for, and no others', () => {
    expect(() => verifyAttributes(read(keyRules), undefined)).not.toThrow();
    expect(() => verifyAttributes(read(keyRulesWithHeir), heir)).not.toThrow();
    expect(() => verifyAttributes(read(keyRulesWithHeir), undefined)).toThrow(unsafe);
    expect(() => verifyAttributes(read(keyRules), heir)).toThrow(unsafe);
  });

  it('are never those that sign or agree on sessions', () => {
    for (const name of ['session', 'receipt']) {
      const keys = { ...keyRulesWithHeir, [name]: { ...keyRules[name], neverExtractable: false } };
      expect(() => verifyAttributes(read(keys), heir), name).toThrow(unsafe);
    }
  });

  it('cannot leave any more', () => {
    const keys = { ...keyRulesWithHeir, mac: { ...keyRulesWithHeir.mac, extractable: true } };
    expect(() => verifyAttributes(read(keys as ReplicaAttributes['keys']), heir)).toThrow(unsafe);
  });
});
