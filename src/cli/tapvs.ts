#!/usr/bin/env node
/** The command `tapvs`. Each of its subcommands is a file in `commands/`. */
import { Command } from 'commander';
import { capture } from './commands/capture.ts';
import { check } from './commands/check.ts';
import { drain } from './commands/drain.ts';
import { explain } from './commands/explain.ts';
import { run } from './commands/run.ts';
import { top } from './commands/top.ts';

const program = new Command('tapvs')
  .description('The Linux Virtual Server director in user space.')
  .showHelpAfterError();
for (const command of [run, check, explain, drain, capture, top]) program.addCommand(command);
await program.parseAsync();
