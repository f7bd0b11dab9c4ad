import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadConfig } from '../../daemon/config.ts';
import { packageRoot, profilePath } from '../../primitives/package-root.ts';

// docs/TOKENS.md promises that its commands run as they stand: build first.

const directory = mkdtempSync(join(tmpdir(), 'bkv-page-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const page = readFileSync(join(packageRoot, 'docs/TOKENS.md'), 'utf8');
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block as string);

it(
  'leads from a token to a replica on it, in a fleet with two software tokens',
  () => {
    const bkvctl = join(directory, 'bkvctl');
    writeFileSync(bkvctl, `#!/bin/sh\nexec '${process.execPath}' '${join(packageRoot, 'dist/cli/main.js')}' "$@"\n`);
    chmodSync(bkvctl, 0o755);
    symlinkSync(join(packageRoot, 'hsm-config'), join(directory, 'hsm-config'));
    expect(blocks).toHaveLength(5);
    const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
    const { status, stdout, stderr } = spawnSync('bash', ['-euo', 'pipefail', '-c', blocks.join('\n')], {
      cwd: directory,
      env,
      encoding: 'utf8',
    });
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.match(/Verdict: fit\./g)).toHaveLength(3);
    expect(stdout).toMatch(/softhsm2 is the one to try/);
    expect(stdout).toMatch(/before and after: 8, 8/);
    const [own, made] = [1, 2].map((index) => loadConfig(join(directory, `fleet/replica-${index}/config.yaml`)).token);
    expect(own).toMatchObject({ label: 'partition', profile: join(directory, 'mine.yaml') });
    expect(made).toMatchObject({ profile: profilePath('softhsm2') });
    expect(
      execFileSync('softhsm2-util', ['--show-slots'], { env: { ...env, SOFTHSM2_CONF: join(directory, 'hsm/softhsm2.conf') } }).toString(),
    ).toMatch(/partition/);
  },
  10 * 60_000,
);
