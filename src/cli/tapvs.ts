#!/usr/bin/env node
/** The command `tapvs`. Each of its subcommands is a file in `commands/`. */
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { capture } from './commands/capture.ts';
import { check } from './commands/check.ts';
import { drain } from './commands/drain.ts';
import { explain } from './commands/explain.ts';
import { run } from './commands/run.ts';
import { top } from './commands/top.ts';

// From dist/cli and from src/cli alike: one package, one number.
const require = createRequire(import.meta.url);
const { version } = require('tapvs/package.json') as { version: string };

const program = new Command('tapvs')
  .description('The Linux Virtual Server director in user space.')
  .version(version, '-V, --version', 'print its version')
  .showHelpAfterError();
for (const command of [run, check, explain, drain, capture, top]) program.addCommand(command);
await program.parseAsync();
