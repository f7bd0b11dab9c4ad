import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

// A backup of any size in constant memory: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015, as in age) over
// AES-256-GCM. Every segment is authentic before a byte of it is passed on, and no segment can be dropped, moved, or made the last.
//
//   salt (32 bytes), then segments of up to 64 KiB, each followed by its tag (16 bytes)

const SALT = 32;
const SEGMENT = 64 * 1024;
const TAG = 16;

/** A key of its own for each file, so that segment numbers may serve as nonces. */
const fileKey = (backupKey: Uint8Array, salt: Uint8Array) => Buffer.from(hkdfSync('sha256', backupKey, salt, 'bkv demo archive v1', 32));

/** 11 bytes of segment number, then 1 for the last segment. */
function nonce(index: number, isLast: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUIntBE(index, 5, 6);
  bytes[11] = isLast ? 1 : 0;
  return bytes;
}

export async function encryptFile(from: string, to: string, backupKey: Uint8Array): Promise<void> {
  const salt = randomBytes(SALT);
  const key = fileKey(backupKey, salt);
  await pipeline(
    createReadStream(from),
    async function* (source: AsyncIterable<Buffer>) {
      yield salt;
      for await (const { index, bytes, isLast } of segments(source, SEGMENT)) {
        const cipher = createCipheriv('aes-256-gcm', key, nonce(index, isLast));
        yield Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
      }
    },
    createWriteStream(to, { flags: 'wx', mode: 0o600 }),
  );
}

/** Rejects for a wrong key and for any change of the file; what it wrote until then is authentic, but not the whole. */
export async function decryptFile(from: string, to: string, backupKey: Uint8Array): Promise<void> {
  const key = fileKey(backupKey, await readSalt(from));
  await pipeline(
    createReadStream(from, { start: SALT }),
    async function* (source: AsyncIterable<Buffer>) {
      for await (const { index, bytes, isLast } of segments(source, SEGMENT + TAG)) {
        const decipher = createDecipheriv('aes-256-gcm', key, nonce(index, isLast), { authTagLength: TAG });
        decipher.setAuthTag(bytes.subarray(-TAG));
        yield Buffer.concat([decipher.update(bytes.subarray(0, -TAG)), decipher.final()]);
      }
    },
    createWriteStream(to, { flags: 'wx', mode: 0o600 }),
  );
}

/** Cuts a stream into pieces of `size`; the last may be shorter, and is empty only if the stream is. */
async function* segments(source: AsyncIterable<Buffer>, size: number) {
  let index = 0;
  let pending = Buffer.alloc(0);
  for await (const chunk of source) {
    pending = Buffer.concat([pending, chunk]);
    // What is left may be the end of the stream, so a full segment waits until more comes.
    for (; pending.length > size; pending = pending.subarray(size))
      yield { index: index++, bytes: pending.subarray(0, size), isLast: false };
  }
  yield { index, bytes: pending, isLast: true };
}

async function readSalt(file: string): Promise<Uint8Array> {
  const chunks = await createReadStream(file, { end: SALT - 1 }).toArray();
  const salt = Buffer.concat(chunks);
  if (salt.length < SALT) throw new Error('the archive is cut off');
  return salt;
}
