import { expect, test } from 'vitest';
import { kek, macKey, receiptKey, sessionKey } from '../daemon/token/keys/templates.ts';
import { softHsmProfile } from '../daemon/token/testing.ts';
import { keyRules } from './key-rules.ts';

const profile = softHsmProfile();

test.each([
  ['session', sessionKey(profile)],
  ['receipt', receiptKey(profile)],
  ['mac', macKey(profile)],
  ['kek-oprf', kek('oprf', profile)],
  ['kek-auth', kek('auth', profile)],
  ['kek-release', kek('release', profile)],
])('what is asked of %s in evidence is what its template asks of the token', (name, template) => {
  const rules = keyRules[name] ?? {};
  const flags = Object.entries(template).filter(([flag, value]) => typeof value === 'boolean' && flag !== 'trusted');
  expect(flags.length).toBeGreaterThan(7);
  for (const [flag, value] of flags) expect(rules[flag], flag).toBe(value);
});
