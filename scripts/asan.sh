#!/usr/bin/env bash
# Runs the addon's tests on a build with AddressSanitizer and UndefinedBehaviorSanitizer, and then looks for memory that
# opening and closing TAPs leaves behind. Needs root, gcc with its sanitizer libraries, and compiled tests in build/.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # a test is another user
mkdir "$work/src"
cp -r package.json binding.gyp "$work"
cp -r src/native "$work/src"

flags='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g'
export PATH="$PWD/node_modules/.bin:$PATH"
(cd "$work" && CFLAGS="$flags" LDFLAGS="$flags" node-gyp configure build --werror --loglevel=warn)

# The loader takes the addon from here instead of build/Release.
export TAPVS_PREBUILD="$work"
libraries="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"

run() {
  local leaks=$1
  shift
  LD_PRELOAD="$libraries" ASAN_OPTIONS="detect_leaks=$leaks:abort_on_error=1" UBSAN_OPTIONS=print_stacktrace=1 "$@"
}
# The test runner and the programs that tests start end as they like, and that leaves memory.
run 0 ava 'build/test/native/**/*.test.js' 'build/test/devices/tap*.test.js' \
  build/test/devices/packet.test.js
run 1 node --expose-gc scripts/leak-loop.mjs
