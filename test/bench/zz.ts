import { mkdtempSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { compileFaultShim, Faults, callsInto } from '../harness/fault-shim.ts';
import { makeTestToken, pin } from '../../daemon/token/testing.ts';
import { openToken } from '../../daemon/token/open-token.ts';
import { residentMiB } from './process-usage.ts';
const undo: (() => void)[] = [];
const { location, directory } = makeTestToken((r) => undo.push(r));
const faults = new Faults(directory);
Object.assign(process.env, faults.env);
const shim = compileFaultShim(directory);
for (const workers of [1, 8, 32]) {
  const before = residentMiB(process.pid);
  let t = performance.now();
  const token = await openToken({ ...location, module: shim, pin, profile: { ...location.profile, workers } });
  const opened = performance.now() - t;
  const { multiple } = await import('../../daemon/token/reference.ts');
  const r = await token.newOprfKey(multiple(2n));
  const digest = new Uint8Array(32);
  const mac = { digest, tag: await token.mac(digest) };
  const kinds = {
    evaluate: () => token.evaluate({ mac, wrappedKey: r.wrappedKey, publicKey: r.publicKey, point: multiple(7n) }),
    mac: () => token.mac(digest), sign: () => token.sign(digest),
  };
  faults.set('latency 2000');
  const count = callsInto(shim);
  for (const [name, f] of Object.entries(kinds)) {
    await f();
    const c0 = count(); await f(); const calls = count() - c0;
    const n = Math.max(workers * 40, 100); let left = n;
    const lane = async () => { while (left-- > 0) await f(); };
    t = performance.now(); const cpu = process.cpuUsage();
    await Promise.all(Array.from({ length: workers * 2 }, lane));
    const ms = performance.now() - t; const u = process.cpuUsage(cpu);
    const ideal = workers / (calls * 0.002);
    console.log(workers, name, calls, 'calls', (n / ms * 1000).toFixed(0), '/s ideal', ideal.toFixed(0), (100 * n / ms * 1000 / ideal).toFixed(1) + '%', 'cpu µs', ((u.user + u.system) / n).toFixed(0));
  }
  console.log('rss', before.toFixed(0), residentMiB(process.pid).toFixed(0), 'opened', opened.toFixed(0), 'ms');
  faults.none();
  await token.close();
}
for (const u of undo) u();
