import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { type ProbeReport, probeToken, type Verdict } from '../daemon/token/probe/hsm-probe.ts';
import { suggestProfile } from '../daemon/token/probe/suggest-profile.ts';
import { initParametersFor, loadProfile, modulePath } from '../daemon/token/profile.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import { VaultError } from '../primitives/errors.ts';
import { profilePath } from '../primitives/package-root.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { openProfile } from './arguments.ts';
import { exitCodes } from './exit-codes.ts';
import type { Output } from './output.ts';

interface Options {
  readonly module?: string;
  readonly profile?: string;
  readonly pinFile: string;
  readonly slot?: bigint;
  readonly label?: string;
  readonly directory?: string;
}

export const hsmProbeCommand = (output: Output): Command =>
  new Command('probe')
    .description('try whether a token will do: what it makes for that it destroys again, and nothing is left behind')
    .option('--module <file>', "the vendor's PKCS#11 module (default: where the profile knows it to be)")
    .option('--profile <name>', 'a file of hsm-config/, or a path; without it one is suggested')
    .requiredOption('--pin-file <file>', "the user's PIN")
    .option('--slot <id>', 'the slot, where several hold a token, as a decimal number or 0x…', slotNumber)
    .option('--label <label>', 'the token, where there are several')
    .option('--directory <directory>', 'where the module keeps its tokens, if it has to be told (NSS softokn)')
    .addHelpText(
      'after',
      `
Exit codes: ${exitCodes.OK} fit, ${exitCodes.FIT_WITH_RISKS} fit with the risks that it names, ${exitCodes.NOT_FIT} not fit and why; ${exitCodes.CONFIGURATION} no such module, token or profile, or the PIN
was refused; ${exitCodes.UNAVAILABLE} the token went away.`,
    )
    .action((options: Options) => probe(options, output));

/** An unsigned long of C's: 64 bits. */
function slotNumber(text: string): bigint {
  const number = /^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text) ? BigInt(text) : -1n;
  if (number < 0n || number > 0xffff_ffff_ffff_ffffn) throw new InvalidArgumentError('It must be a number from 0 to 2^64 − 1.');
  return number;
}

async function probe(options: Options, output: Output): Promise<void> {
  const pin = readPin(options.pinFile);
  try {
    output.step('probing the token');
    const { report, suggestion } = await reportOn(options, pin);
    output.result({ ...report, ...(suggestion === undefined ? {} : { suggestion }) }, inWords(report, suggestion));
    output.exitCode = verdictCodes[report.verdict];
  } finally {
    pin.wipe();
  }
}

async function reportOn({ profile: name, module, slot, label, directory }: Options, pin: SecretBytes): Promise<Answer> {
  if (name !== undefined) {
    const profile = openProfile(name);
    const initParameters = initParametersFor(profile, { ...(directory === undefined ? {} : { directory }), label: label ?? '' });
    return { report: await probeToken({ slot, label, pin, module: modulePath(profile, module), initParameters, profile }) };
  }
  if (module === undefined) throw new VaultError('CONFIG_INVALID', 'Give --module, --profile, or both.');
  const { report, by } = await suggestProfile({ slot, label, pin, module, directory }, everyProfile());
  const how = by === 'name' ? 'by what the token says of itself' : 'by trying all';
  return { report, suggestion: `No profile was named; ${how}, ${report.profile} is the one to try.` };
}

interface Answer {
  readonly report: ProbeReport;
  readonly suggestion?: string;
}

const everyProfile = () =>
  readdirSync(dirname(profilePath('any')))
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => loadProfile(profilePath(file.replace(/\.yaml$/, ''))));

const verdictCodes: Record<Verdict, number> = {
  fit: exitCodes.OK,
  'fit with risks': exitCodes.FIT_WITH_RISKS,
  'not fit': exitCodes.NOT_FIT,
};

function inWords(report: ProbeReport, suggestion?: string): string {
  const { token, operations, attacks, because, risks, notes, notTried, objects } = report;
  const withOutcome = (outcome: ProbeReport['attacks'][number]['outcome']) => attacks.filter((attack) => attack.outcome === outcome);
  const [accepted, untried] = [withOutcome('accepted'), withOutcome('could not be tried')];
  const width = Math.max(0, ...operations.map(({ name }) => name.length));
  return [
    `${token.manufacturer} ${token.model}, serial ${token.serial || 'none'}, label ${token.label || 'none'}, slot ${token.slot}; ${report.library}`,
    ...(suggestion === undefined ? [] : [suggestion]),
    `Profile ${report.profile}${report.basis === 'from-documentation' ? ', which was drawn from papers and never met its token before' : ''}.`,
    '',
    ...section(
      'What the vault does with it (time in the module: the median of five, of a long step its only one):',
      operations.map(
        ({ name, works, micros, calls, why }) =>
          `${name.padEnd(width)}  ${works ? (micros === undefined ? 'works' : `${String(micros).padStart(7)} µs  ${String(calls).padStart(3)} calls`) : `FAILED: ${why}`}`,
      ),
    ),
    ...section(`What a hostile host could try: ${withOutcome('refused').length} refused, ${accepted.length} accepted`, grouped(accepted)),
    ...section(`What could not be tried, and so is not known: ${untried.length}`, grouped(untried)),
    ...section('Not tried:', notTried),
    `Objects on the token before and after: ${objects.before}, ${objects.after}.${objects.swept === 0 ? '' : ` ${objects.swept} that a probe left which was cut off were destroyed first.`}`,
    '',
    ...section('To know:', notes),
    ...section('Risks:', risks),
    ...section('Not fit because', because),
    `Verdict: ${report.verdict}.`,
  ].join('\n');
}

/** For people: how many of each kind, and some of them; --json has all. */
function grouped(attacks: ProbeReport['attacks']): string[] {
  const guards = [...new Set(attacks.map(({ stoppedBy }) => stoppedBy))];
  return guards.map((guard) => {
    const names = attacks.filter(({ stoppedBy }) => stoppedBy === guard).map(({ name }) => name);
    const more = names.length > 2 ? `; and ${names.length - 2} more` : '';
    return `${guard}: ${names.slice(0, 2).join('; ')}${more}`;
  });
}

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 && !title.includes('refused') ? [] : [title, ...lines.map((line) => `  ${line}`), ''];
