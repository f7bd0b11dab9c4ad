import { expect, test } from 'vitest';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { tweakFrom } from '../../protocol/scalar.ts';
import { type TweakUse, tweakTranscript } from '../../protocol/transcripts.ts';
import { CODE, clientOf, enrolInput, RECORD } from '../harness/soft-client.ts';
import { SoftFleet } from '../harness/soft-fleet.ts';
import { hmac } from './consequences.ts';
import { OwnRecordAttack, type Ratio } from './own-record.ts';
import { inverse, type Named, product, type Token, tweak } from './token-use.ts';

// All records of a replica share its keys, and a generation has a tweak: k·t. Who knows t_victim / t_own sends (t_victim / t_own)·P to a
// record of their own, and spends their own attempts on a victim's code: the victim's counter and receipts see nothing of it. So the tweak
// is secret, and made by the token's HMAC.

const OWN = { recordId: 'account-2', code: 'the attacker’s own code' };
const backupKey = new SecretBytes(new Uint8Array(32).fill(7));

/** A victim and an attacker on one fleet of three, of which two are needed. */
async function meet() {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput({ backupKey }));
  await clientOf(fleet).enroll(enrolInput(OWN));
  const [victim, own] = [fleet.bodyOf(RECORD), { ...OWN, ...fleet.bodyOf(OWN.recordId) }];
  const ratioBy =
    (tweaking: Tweaking): Ratio =>
    (index, use) => {
      const tweakOf = ({ body }: typeof victim) =>
        tweaking(fleet.replica(index).token, use, body, fleet.replica(index).stateOf(body.g).seed);
      return product(tweakOf(victim), inverse(tweakOf(own)));
    };
  /** For whoever used the tokens' HMAC, or otherwise got both tweaks. */
  const copied = ratioBy(tweak);
  return { fleet, copied, ratioBy, attack: (ratio: Ratio) => new OwnRecordAttack(fleet, own, victim, ratio) };
}

const ONE = new Uint8Array(32).with(31, 1);

test('with copied tweaks of t replicas they would, and open it', async () => {
  const { fleet, copied, attack } = await meet();
  const attacker = attack(copied);
  expect(await attacker.guess('274935')).toBeUndefined();
  const s = (await attacker.guess(CODE)) as SecretBytes;
  expect((await attacker.open(s))?.expose()).toEqual(backupKey.expose());
  expect(fleet.attemptsOf(RECORD)).toBe(0);
  expect(fleet.attemptsOf(OWN.recordId)).toBe(5); // t for each guess, and one for the release
});

test('with those of fewer replicas they do not', async () => {
  const { copied, attack } = await meet();
  for (const ratio of [ONE, copied(1, 'oprf'), copied(1, 'release')] as const)
    expect(await attack((index, use) => (index === 1 ? copied(1, use) : ratio)).guess(CODE)).toBeUndefined();
});

type Tweaking = (token: Token, use: TweakUse, named: Named, seed: Uint8Array) => Uint8Array;

const digestOf: Tweaking = ({ index }, use, { fleet, rid, g }, seed) => tweakTranscript(use, { fleet, index, rid, g, seed }).digest;

test.each<[string, Tweaking]>([
  ['the seed itself', (_, __, ___, seed) => tweakFrom(seed)],
  ['a hash of it', (...asked) => tweakFrom(digestOf(...asked))],
  ['what a host derives of it', (token, use, named, seed) => tweakFrom(hmac(seed, digestOf(token, use, named, seed)))],
])('with all seeds, and one token that is used, they do not: a tweak is not %s', async (_, tweaking) => {
  const { copied, ratioBy, attack } = await meet();
  const guessed = ratioBy(tweaking);
  expect(await attack((index, use) => (index === 1 ? copied : guessed)(index, use)).guess(CODE)).toBeUndefined();
});

test('nor does the HMAC of one token serve for another', async () => {
  const { fleet, ratioBy, attack } = await meet();
  const { macKey } = fleet.replica(1).token;
  expect(await attack(ratioBy((token, ...asked) => tweak({ ...token, macKey }, ...asked))).guess(CODE)).toBeUndefined();
});
