#!/usr/bin/env node
/** The command `ipvsadm-save [-n]`: prints the director's services as commands that make them. */
import { ipvsadmCommand } from './ipvsadm-command.ts';

const words = process.argv.slice(2);
if (words.some((word) => word.startsWith('-') && word !== '-n')) {
  process.stderr.write('ipvsadm-save [-n]: prints the table of services to standard output; -n by numbers.\n');
  process.exitCode = 1;
} else {
  process.exitCode = await ipvsadmCommand(words.includes('-n') ? ['-S', '-n'] : ['-S']);
}
