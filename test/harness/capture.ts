import { Writable } from 'node:stream';
import type { Streams } from '../../cli/output.ts';

/** What a command wrote, for tests. */
export function capture(): { readonly written: { stdout: string; stderr: string }; readonly streams: Streams } {
  const written = { stdout: '', stderr: '' };
  const into = (name: keyof typeof written) =>
    new Writable({
      write(chunk, _encoding, done) {
        written[name] += String(chunk);
        done();
      },
    });
  return { written, streams: { stdout: into('stdout'), stderr: into('stderr') } };
}
