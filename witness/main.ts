#!/usr/bin/env node
import { exitWhenIdle } from '../primitives/exit.ts';
import { run } from './program.ts';

exitWhenIdle();
process.exitCode = await run(process.argv.slice(2));
