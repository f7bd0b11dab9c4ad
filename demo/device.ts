import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { decryptFile, encryptFile } from './archive.ts';
import { check } from './narrator.ts';

const MESSAGES = 30_000;

/** A phone: its message history and its backup key. What the cloud has is the archive alone. */
export class Device {
  readonly #directory: string;
  #key: SecretBytes | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory);
  }

  get history(): string {
    return join(this.#directory, 'history.sqlite');
  }

  get backupKey(): SecretBytes {
    if (!this.#key) throw new Error('the device has no backup key');
    return this.#key;
  }

  write(): { messages: number; bytes: number } {
    const messages = makeHistory(this.history);
    return { messages, bytes: statSync(this.history).size };
  }

  async backUp(archive: string): Promise<void> {
    this.#key = new SecretBytes(randomBytes(32));
    await encryptFile(this.history, archive, this.#key.expose());
  }

  /** Everything on it is gone. */
  lose(): void {
    this.#key?.wipe();
    this.#key = undefined;
    rmSync(this.#directory, { recursive: true });
  }

  /** Decrypts the archive with a recovered key and compares with what was there before, byte for byte. */
  async restore(archive: string, key: SecretBytes, original: Buffer): Promise<void> {
    await decryptFile(archive, this.history, key.expose());
    check(readFileSync(this.history).equals(original), 'the restored history is the original, byte for byte');
    check(countMessages(this.history) > 0, 'the restored history is a sound database');
  }
}

/** A message history as a messaging app keeps it: several megabytes of SQLite, different each time. Returns the number of messages. */
function makeHistory(file: string): number {
  sqlite(
    file,
    `CREATE TABLE message (id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, sent_at INTEGER NOT NULL, body TEXT NOT NULL);
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MESSAGES})
     INSERT INTO message SELECT i, abs(random()) % 200, 1700000000 + 37 * i, 'Message ' || i || ': ' || hex(randomblob(60)) FROM n;
     CREATE INDEX by_conversation ON message (conversation, sent_at);`,
  );
  return MESSAGES;
}

/** How many messages a sound database holds. Throws for a damaged one. */
function countMessages(file: string): number {
  const [verdict, count] = sqlite(file, 'PRAGMA integrity_check; SELECT count(*) FROM message;').split('\n');
  if (verdict !== 'ok') throw new Error(`sqlite3 says of ${file}: ${verdict}`);
  return Number(count);
}

function sqlite(file: string, statements: string): string {
  const { error, status, stdout, stderr } = spawnSync('sqlite3', ['-batch', '-bail', file], { input: statements, encoding: 'utf8' });
  if (error) throw new Error('The program sqlite3 is not installed: run `make setup`.', { cause: error });
  if (status !== 0) throw new Error(`sqlite3 failed: ${stderr}`);
  return stdout;
}
