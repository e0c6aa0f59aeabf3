#!/usr/bin/env node
/** The command `ipvsadm-restore`: replaces the director's services by what the commands on standard input make. */
import { ipvsadmCommand, readInput } from './ipvsadm-command.ts';

const input = (await readInput()).replace(/^#.*\n?/gm, '');
const cleared = await ipvsadmCommand(['-C']);
process.exitCode = cleared === 2 ? cleared : await ipvsadmCommand(['-R'], input);
