import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import type { TlsFiles } from '../../fleet/produce/etcd-tls.ts';

/** What a member says over plain HTTPS, beside its gRPC; undefined if it does not answer. */
export function getFromEtcd(url: string, { ca, cert, key }: TlsFiles): Promise<string | undefined> {
  const files = { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
  return new Promise((resolve) => {
    const call = request(url, { ...files, agent: false, timeout: 1000 }, (response) => {
      response.setEncoding('utf8');
      let body = '';
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
      response.on('error', () => resolve(undefined));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined));
    call.end();
  });
}
