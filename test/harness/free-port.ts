import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

// Below the range from which the kernel takes the ports of outgoing connections: a process that is killed and started again
// must find its port as it left it.
const RANGE = { from: 12_000, to: 32_000 };
/** Of ports that belong to one test process. */
const BLOCK = 50;

/** Holds the first port of each block of this process for as long as it runs: another process then takes another block. */
const held: Server[] = [];
const left: number[] = [];

/** Ports on 127.0.0.1 that nobody listens on, none given twice, by this process or by another one that runs at the same time. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = left.shift();
    if (port === undefined) await takeBlock();
    else if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function takeBlock(): Promise<void> {
  for (;;) {
    const first = RANGE.from + BLOCK * randomInt((RANGE.to - RANGE.from) / BLOCK);
    const server = await listen(first);
    if (server === undefined) continue;
    server.unref();
    held.push(server);
    left.push(...Array.from({ length: BLOCK - 1 }, (_, i) => first + 1 + i));
    return;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  return server !== undefined;
}

/** Undefined where the port is in use. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
