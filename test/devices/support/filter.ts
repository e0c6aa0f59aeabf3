/** Programs to which the kernel refuses some system calls, as container runtimes have it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** The numbers of io_uring's calls, which are the same on all processors that Node.js is made for. */
export const IO_URING_SETUP = 425;
export const IO_URING_ENTER = 426;
export const IO_URING_REGISTER = 427;
/** This one is older, and has another number on x86-64 than on those that came later (arm64, riscv64). */
export const PWRITEV2: number = process.arch === 'x64' ? 328 : 287;

/** filter NUMBER PROGRAM...: runs the program with one system call answered by EPERM. */
const SOURCE = `
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(argv[1]), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (argc < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 9;
  execv(argv[2], argv + 2);
  return 9;
}`;

/** Compiles the filter; returns a function that runs a Node.js script under it and gives what it printed. */
export function makeFilter(t: ExecutionContext): (refused: number, script: string, ...args: string[]) => string {
  const folder = mkdtempSync(join(tmpdir(), 'tapvs-filter-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const filter = join(folder, 'filter');
  execFileSync('cc', ['-x', 'c', '-o', filter, '-'], { input: SOURCE });
  return (refused, script, ...args) =>
    execFileSync(filter, [String(refused), process.execPath, script, ...args], { encoding: 'utf8', timeout: 20_000 });
}
