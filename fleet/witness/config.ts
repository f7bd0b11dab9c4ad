import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { VaultError } from '../../primitives/errors.ts';
import { parseNoteKey } from '../log/note-key.ts';

/** What `bkv-witness init` writes into its directory as witness.yaml, and a person may change. Paths are relative to the directory. */
const schema = z.strictObject({
  /** The log's name, and that under which the witness cosigns: a URL without its scheme. */
  name: z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+(\/[a-z0-9._-]+)+$/, 'must be host/path, as in witness.example/backup-key-vault'),
  token: z.strictObject({
    /** A file of hsm-config/ without its ending, or a path. */
    profile: z.string(),
    /** The PKCS#11 module, where it is not at one of the profile's places. */
    module: z.string().optional(),
    label: z.string(),
    pin_file: z.string(),
  }),
  /** Authorities (PEM) of the operators that put epochs of a fleet in force. A fleet has a second one where its first was replaced. */
  operators: z.array(z.strictObject({ fleet: z.string(), ca: z.string() })),
  /** Other witnesses, that are asked to cosign each checkpoint. */
  cosigners: z.array(z.strictObject({ vkey: z.string(), url: z.url({ protocol: /^https?$/ }) })),
});

export type WitnessConfig = z.infer<typeof schema>;

export const CONFIG_FILE = 'witness.yaml';

/** Throws CONFIG_INVALID, naming the file and every wrong field. */
export function loadWitnessConfig(directory: string): WitnessConfig {
  const file = join(directory, CONFIG_FILE);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${file}: is this the directory of a witness?`, { cause });
  }
  const config = parseWitnessConfig(parse(text), file);
  const { token, operators } = config;
  const path = (name: string) => resolve(directory, name);
  return {
    ...config,
    operators: operators.map(({ fleet, ca }) => ({ fleet, ca: path(ca) })),
    token: { ...token, profile: token.profile.includes('/') ? path(token.profile) : token.profile, pin_file: path(token.pin_file) },
  };
}

export function parseWitnessConfig(value: unknown, name: string): WitnessConfig {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new VaultError('CONFIG_INVALID', `${name} is wrong:\n${z.prettifyError(parsed.error)}`);
  for (const { vkey } of parsed.data.cosigners)
    if (parseNoteKey(vkey).type === 1)
      throw new VaultError('CONFIG_INVALID', `${name} is wrong: ${vkey} is not the key of a cosigner (type 4 or 6).`);
  return parsed.data;
}

export const formatWitnessConfig = (config: WitnessConfig): string => stringify(config);
