import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';
import { VaultError } from '../../primitives/errors.ts';

/** Serves Prometheus metrics at /metrics, over plain HTTP: bind it to an address that only the collector reaches. Throws PORT_BUSY. */
export async function serveMetrics(address: string, registry: Registry): Promise<Server> {
  const [host, port] = address.split(':');
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new VaultError('PORT_BUSY', `Cannot listen on ${address} for metrics.`, { cause })));
    server.listen(Number(port), host, resolve);
  });
  return server;
}
