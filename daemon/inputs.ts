import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { VaultError } from '../primitives/errors.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { parseStatement, type Replica, type Statement } from '../protocol/statement.ts';
import type { Config } from './config.ts';
import type { StoredPin } from './token/pool/pin-reader.ts';
import type { TokenIdentity } from './token/port.ts';
import type { TenantKeys } from './vault/grants.ts';

// What a replica reads at start beside its configuration. Every failure is CONFIG_INVALID and names the file.

function read(file: string, what: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new VaultError('CONFIG_INVALID', `Cannot read ${what}: ${(cause as Error).message}.`, { cause });
  }
}

export function readStatement(config: Config): { statement: Statement; self: Replica } {
  const statement = parseStatement(read(config.statement, 'the fleet statement'));
  const self = statement.replicas[config.replica - 1];
  if (!self) throw new VaultError('CONFIG_INVALID', `The fleet statement has no replica ${config.replica}.`);
  const others = statement.replicas.filter(({ index }) => index !== self.index);
  const missing = others.filter(({ index }) => !config.peers.some((peer) => peer.index === index));
  if (missing.length > 0 || config.peers.length !== others.length)
    throw new VaultError(
      'CONFIG_INVALID',
      `\`peers\` must name each other replica of the statement once: ${others.map((r) => r.index).join(', ')}.`,
    );
  return { statement, self };
}

/** Here, by the name of the setting; else whatever library meets a wrong file first says so in its own way. */
export function expectCertificates({ tls, etcd }: Config): void {
  const settings = { 'tls.frontend': tls.frontend, 'tls.peer': tls.peer, 'etcd.tls': etcd.tls };
  for (const [name, files] of Object.entries(settings)) {
    const [cert, key, ca] = [files.cert, files.key, files.ca].map((file) => read(file, `a file of \`${name}\``));
    try {
      createSecureContext({ cert, key, ca });
    } catch (cause) {
      const why = `\`${name}\` must name a certificate, its own key and its issuers, in PEM: ${(cause as Error).message}.`;
      throw new VaultError('CONFIG_INVALID', why, { cause });
    }
  }
}

/** The PIN, without the line break that editors add. `credential:NAME` is systemd's LoadCredential=. */
export function readPin({ token }: Config): StoredPin {
  const credential = /^credential:(.+)$/.exec(token.pin_file)?.[1];
  const directory = process.env.CREDENTIALS_DIRECTORY;
  if (credential && !directory)
    throw new VaultError('CONFIG_INVALID', '`pin_file` names a credential, but systemd gave none: set LoadCredential= in the unit.');
  const file = credential && directory ? join(directory, credential) : token.pin_file;
  const content = read(file, 'the PIN file');
  const end = content.at(-1) === 0x0a ? content.length - 1 : content.length;
  const pin = new SecretBytes(content.subarray(0, end));
  content.fill(0);
  const { ino, mtimeNs } = statSync(file, { bigint: true });
  return { pin, stamp: `${ino} ${mtimeNs}` };
}

export function readTenantKeys({ tenants }: Config): TenantKeys {
  const readKey = (file: string): KeyObject => {
    const pem = read(file, 'a grant key');
    try {
      return createPublicKey(pem);
    } catch (cause) {
      throw new VaultError('CONFIG_INVALID', `${file} is not a public key in PEM (SPKI) form.`, { cause });
    }
  };
  const keysOf = ({ grant_keys }: Config['tenants'][number]) =>
    new Map(grant_keys.map(({ kid, file, retired }) => [kid, { key: readKey(file), isRetired: retired }]));
  return new Map(tenants.map((tenant) => [tenant.name, keysOf(tenant)]));
}

/** A replica serves only under a statement that names its own token and its public keys. Throws STATEMENT_MISMATCH. */
export function expectOwnKeys({ document }: Statement, self: Replica, identity: TokenIdentity): void {
  const stated = document.replicas[self.index - 1]?.token.serial;
  if (stated !== identity.serial)
    throw new VaultError(
      'STATEMENT_MISMATCH',
      `The token’s serial number is ${identity.serial}; the fleet statement has ${stated} for replica ${self.index}.`,
    );
  for (const key of ['oprfKey', 'releaseKey', 'receiptKey'] as const)
    if (!Buffer.from(self[key]).equals(identity[key]))
      throw new VaultError(
        'STATEMENT_MISMATCH',
        `The token’s ${key} is not the one that the fleet statement has for replica ${self.index}.`,
      );
}
