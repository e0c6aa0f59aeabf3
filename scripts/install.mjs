/**
 * What `npm install` runs: makes sure that there is a native addon, if that can be. The library without one is whole
 * but for TapDevice, so nothing here makes an installation fail.
 *
 * - On other systems than Linux there is nothing to do.
 * - A published package brings the addon for the common kinds of machine: if that one loads, it is used.
 * - Otherwise, and always in a checkout, it is compiled with node-gyp, which npm puts on the PATH.
 *
 * `npm install --build-from-source` compiles in any case.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// A file that is not published: here somebody may have changed the addon's sources since it was last built.
const isCheckout = existsSync(join(root, 'tsconfig.json'));
const fromSource = process.env.npm_config_build_from_source === 'true';

/** Whether the package brought an addon that runs here; one that was compiled before does not count. */
function shippedAddonLoads() {
  process.env.PREBUILDS_ONLY = '1';
  try {
    createRequire(import.meta.url)('node-gyp-build')(root);
    return true;
  } catch {
    return false;
  }
}

function compile() {
  // Not `rebuild`: that would empty the folder `build`, in which a checkout has its compiled tests.
  const { status, error } = spawnSync('node-gyp', ['configure', 'build'], { cwd: root, stdio: 'inherit' });
  if (status === 0) return;
  const reason = error === undefined ? '' : ` (${error.message})`;
  console.warn(
    `tapvs: the native addon could not be compiled${reason}. Everything but TapDevice works without it. ` +
      'It needs a C compiler, make and Python; try again with: npm rebuild tapvs',
  );
}

if (process.platform === 'linux' && (isCheckout || fromSource || !shippedAddonLoads())) compile();
