import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Cosigner } from './cosigner.ts';

export interface ServerOptions {
  /** The witness's directory for the public: `checkpoint` and `tile/` of its log, and what it cosigned of others (CosignedCheckpoints). */
  readonly directory: string;
  readonly cosigner: Cosigner;
  /** Told what no caller is told. */
  readonly onFault: (error: unknown) => void;
}

/** A checkpoint with a hundred signatures of ML-DSA-44, 3.3 KiB each in base64, and the longest proof: 340 KiB. */
const BODY_MOST = 512 * 1024;

// What a log consists of (c2sp.org/tlog-tiles), and checkpoints that were cosigned (c2sp.org/tlog-witness). Anything else is not there: no
// name reaches the disk that is not of this form.
const RESOURCE = /^\/((?:[0-9a-f]{64}\/)?checkpoint|tile\/(?:\d{1,2}|entries)\/(?:x\d{3}\/)*\d{3}(?:\.p\/\d{1,3})?)$/;

/** A log and what was cosigned of others as static files, and `POST /add-checkpoint` for the logs of others. */
export function witnessServer(options: ServerOptions): Server {
  return createServer((request, response) => {
    handle(request, response, options).catch((error: unknown) => {
      options.onFault(error);
      if (response.headersSent) response.destroy();
      else send(response, 500, 'A fault of this witness. Nothing was signed.\n');
    });
  });
}

async function handle(request: IncomingMessage, response: ServerResponse, options: ServerOptions): Promise<void> {
  if (request.url === '/add-checkpoint') return addCheckpoint(request, response, options.cosigner);
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'Only GET.\n');
  const name = RESOURCE.exec(request.url ?? '')?.[1];
  const content = name === undefined ? undefined : await readIfThere(join(options.directory, name));
  if (content === undefined) return send(response, 404, 'Not here.\n');
  const isCheckpoint = name?.endsWith('checkpoint');
  response.writeHead(200, {
    'Content-Type': isCheckpoint ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    'Cache-Control': isCheckpoint ? 'no-cache' : 'public, max-age=31536000, immutable',
    'Content-Length': content.length,
    'Access-Control-Allow-Origin': '*', // public, and a page in a browser may want to look
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : content);
}

async function addCheckpoint(request: IncomingMessage, response: ServerResponse, cosigner: Cosigner): Promise<void> {
  if (request.method !== 'POST') return send(response, 405, 'Only POST.\n');
  const body = Number(request.headers['content-length']) > BODY_MOST ? undefined : await readBody(request);
  if (body === undefined) return send(response, 413, `A request has ${BODY_MOST} bytes at most.\n`);
  const answer = cosigner.add(body);
  send(response, answer.status, answer.body, answer.type);
}

/** Undefined for one that is too long without saying so; the connection ends with it. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_MOST) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    // EISDIR: `067.p` is a directory; ENOTDIR: nothing lies below a file.
    if (['ENOENT', 'EISDIR', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function send(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  const close = status === 413 ? { Connection: 'close' } : {}; // the rest of the body is not waited for
  response.writeHead(status, { 'Content-Type': type, 'X-Content-Type-Options': 'nosniff', ...close }).end(body);
}
