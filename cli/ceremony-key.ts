import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { initToken } from '../daemon/token/keys/init-token.ts';
import { modulePath } from '../daemon/token/profile.ts';
import { Authority, validityFrom } from '../fleet/produce/authority.ts';
import { bundleSignerSubject } from '../fleet/produce/certificates.ts';
import { makeDirectory, PUBLIC, writeNew } from '../fleet/produce/files.ts';
import { readPin } from '../fleet/signing-token/pin-file.ts';
import { SigningToken } from '../fleet/signing-token/signing-token.ts';
import { formatPublicKey, parsePublicKey } from '../fleet/verify/public-key.ts';
import { hashWords } from '../fleet/verify/words.ts';
import { openProfile } from './arguments.ts';
import type { Output } from './output.ts';

interface Options {
  readonly token: string;
  readonly keyName: string;
  readonly pinFile: string;
  readonly soPinFile?: string;
  readonly profile: string;
  readonly module?: string;
  readonly certify?: string;
}

export const ceremonyKeyCommand = (output: Output): Command =>
  new Command('key')
    .description("make a participant's key, or the operator's for bundles, in a token of its own; prints the public half for the plan")
    .argument('<directory>', 'where public.pem goes; must not exist')
    .requiredOption('--token <label>', 'the token')
    .requiredOption('--pin-file <file>', "the token's PIN")
    .option('--key-name <name>', 'what the key will be called in the token', 'bundle')
    .option('--so-pin-file <file>', 'initialise a blank token first, with this PIN of its security officer')
    .option('--profile <name>', "the token's vendor profile", 'softhsm2')
    .option('--module <file>', "the PKCS #11 module, where it is not at one of the profile's places")
    .option('--certify <name>', 'also make an authority for this one key, ca.pem, and its certificate, bundle.crt')
    .action((directory: string, options: Options) => make(resolve(directory), options, output));

async function make(directory: string, options: Options, output: Output): Promise<void> {
  const profile = openProfile(options.profile);
  const pin = readPin(options.pinFile);
  makeDirectory(directory);
  if (options.soPinFile !== undefined)
    initToken({ module: modulePath(profile, options.module), profile, label: options.token, soPin: readPin(options.soPinFile), pin });
  const token = new SigningToken({ profile, module: options.module, label: options.token, pin });
  try {
    const { publicKey } = token.make('p256', options.keyName);
    const pem = formatPublicKey(publicKey);
    const write = (name: string, text: string) => writeNew(join(directory, name), text, PUBLIC);
    write('public.pem', pem);
    if (options.certify !== undefined) {
      // The authority's key ends with this process: it vouches for this one key, and for no other ever.
      const authority = await Authority.create(`${options.certify} authority`, validityFrom(Date.now()));
      write('ca.pem', authority.certificate);
      write('bundle.crt', await authority.certify(bundleSignerSubject(options.certify), publicKey));
    }
    const { fingerprint } = parsePublicKey(pem);
    output.result({ public_key: pem, fingerprint, words: hashWords(fingerprint) }, `${pem}${fingerprint}\n${hashWords(fingerprint)}`);
  } finally {
    token.close();
  }
}
