import { expect, it } from 'vitest';
import { keyRules } from '../../protocol/key-rules.ts';
import { type ReplicaAttributes, verifyAttributes } from './replica-files.ts';

type Keys = ReplicaAttributes['keys'];

const verify = (keys: Keys) => verifyAttributes({ name: 'replica-1', keys } as ReplicaAttributes);
const unsafe = expect.objectContaining({ details: expect.objectContaining({ check: 'attributes-unsafe' }) });
const but = (name: string, changes: Record<string, boolean | undefined>) =>
  ({ ...keyRules, [name]: { ...keyRules[name], ...changes } }) as Keys;

it('keys that keep the rules pass', () => {
  expect(Object.keys(keyRules)).toEqual(['oprf', 'release', 'mac', 'receipt']);
  expect(() => verify(keyRules)).not.toThrow();
});

it.each(Object.keys(keyRules))('each rule holds for the %s key by itself', (name) => {
  for (const [flag, wanted] of Object.entries(keyRules[name] as Record<string, boolean>))
    expect(() => verify(but(name, { [flag]: !wanted })), flag).toThrow(unsafe);
});

it.each(Object.keys(keyRules))('what protects the %s key is said by its token, and its uses may be missing where it has none', (name) => {
  for (const flag of ['token', 'private', 'sensitive', 'extractable', 'alwaysSensitive', 'neverExtractable', 'local', 'modifiable'])
    expect(() => verify(but(name, { [flag]: undefined })), flag).toThrow(unsafe);
  expect(() => verify(but(name, { wrap: undefined, unwrap: undefined }))).not.toThrow();
});

it.each(Object.keys(keyRules))('the %s key has to be there', (name) => {
  const { [name]: _gone, ...others } = keyRules;
  expect(() => verify(others)).toThrow(unsafe);
});

it('there is no other key', () => {
  expect(() => verify({ ...keyRules, spare: keyRules.mac as Keys[string] })).toThrow(unsafe);
});
