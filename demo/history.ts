import { spawnSync } from 'node:child_process';

const MESSAGES = 30_000;

/** A message history as a messaging app keeps it: several megabytes of SQLite, different each time. Returns the number of messages. */
export function makeHistory(file: string): number {
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
export function countMessages(file: string): number {
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
