/**
 * Compiles the addon for publishing into `prebuilds/`, for this kind of machine (system, processor, C library). One
 * binary serves all versions of Node.js: it uses Node-API and libuv only.
 *
 * In a copy of the sources, because prebuildify empties the folder `build`, in which a checkout has its compiled tests.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The oldest Node.js that package.json allows; its headers are used. */
const OLDEST_NODE = '20.19.0';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const copy = mkdtempSync(join(tmpdir(), 'tapvs-prebuild-'));
try {
  for (const path of ['package.json', 'binding.gyp', 'src/native']) {
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  const options = ['--napi', '--strip', '--tag-libc', '--target', OLDEST_NODE, '--cwd', copy, '--out', root];
  const { status, error } = spawnSync('prebuildify', options, { stdio: 'inherit' });
  if (error !== undefined) throw error;
  process.exitCode = status ?? 1;
} finally {
  rmSync(copy, { recursive: true });
}
