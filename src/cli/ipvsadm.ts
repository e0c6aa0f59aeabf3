#!/usr/bin/env node
/** The command `ipvsadm`: administers the director that runs on this machine, as ipvsadm does the kernel's. */
import { readsInput } from '../ipvsadm/reads-input.ts';
import { ipvsadmCommand, readInput } from './ipvsadm-command.ts';

const words = process.argv.slice(2);
process.exitCode = await ipvsadmCommand(words, readsInput(words) ? await readInput() : '');
