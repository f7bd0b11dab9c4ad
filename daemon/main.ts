#!/usr/bin/env node
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { Command } from 'commander';
import type { Millis } from '../primitives/brand.ts';
import { VaultError } from '../primitives/errors.ts';
import { exitWhenIdle } from '../primitives/exit.ts';
import { version } from '../primitives/package-root.ts';
import { exitWouldHang, startReplica } from './compose.ts';
import { loadConfig } from './config.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Events } from './telemetry/events.ts';
import { createLog } from './telemetry/log.ts';

async function run(file: string): Promise<void> {
  const config = loadConfig(file);
  const events = new Events(createLog(config.log_level, config.replica));
  let isStopping = false;
  const stopFor = (why: string) => {
    if (isStopping) return;
    isStopping = true;
    stop()
      .then(() => events.stopped(why), fail)
      .finally(end);
  };
  const stop = await startReplica(config, version, events, (error) => {
    fail(error);
    exit(); // at once: not another vote. What the guard acknowledged is on disk
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopFor(signal));
}

const LAST_WORDS: Millis = 500;

/** What a library still has open, such as a connection that is half made, does not keep a process alive that is done. */
function end(): void {
  setTimeout(exit, LAST_WORDS).unref();
}

/** A thread that hangs in the PKCS#11 module would be waited for, without end and without heed to SIGTERM. */
function exit(): void {
  if (exitWouldHang()) {
    process.stderr.write('bkvd: A call hangs in the PKCS#11 module: this process kills itself.\n');
    process.kill(process.pid, 'SIGKILL');
  }
  process.exit();
}

/** One sentence on stderr, for the person at the terminal; the exit code for the supervisor. */
function fail(error: unknown): void {
  if (error instanceof VaultError) {
    process.stderr.write(`bkvd: ${error.code}: ${error.message}\n`);
    process.exitCode = exitCodeOf(error.code);
  } else {
    process.stderr.write(`bkvd: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = EXIT.internal;
  }
}

setLogVerbosity(logVerbosity.NONE); // what it would print on stderr is in our errors, as one sentence

const program = new Command('bkvd')
  .description('A replica of the backup key vault, beside its PKCS#11 token.')
  .version(version)
  .requiredOption('--config <file>', 'the replica’s configuration, YAML')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))
  .action(({ config }: { config: string }) =>
    run(config).catch((error: unknown) => {
      fail(error);
      end();
    }),
  );

exitWhenIdle();
await program.parseAsync();
