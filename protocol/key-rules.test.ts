import { expect, test } from 'vitest';
import { keyTemplates } from '../daemon/token/keys/templates.ts';
import { softHsmProfile } from '../test/harness/test-token.ts';
import { keyRules } from './key-rules.ts';

const profile = softHsmProfile();

/** Of later versions of PKCS#11: what a token need not know is no rule. */
const young = ['copyable', 'destroyable'];

test('there are rules for just the keys that a replica has', () => {
  expect(Object.keys(keyRules)).toEqual(Object.keys(keyTemplates));
});

test.each(Object.entries(keyTemplates))('what is asked of %s in evidence is what its template asks of the token', (name, template) => {
  const rules = keyRules[name] ?? {};
  const flags = Object.entries(template(profile)).filter(([flag, value]) => typeof value === 'boolean' && !young.includes(flag));
  expect(flags.length).toBeGreaterThan(7);
  for (const [flag, value] of flags) expect(rules[flag], flag).toBe(value);
});
