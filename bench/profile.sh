#!/usr/bin/env bash
# Where the director's time goes on the wire: profiles it while small frames outrun it, and prints which share is the kernel's,
# the addon's, JavaScript's, and that of Node, V8 and libuv; and the functions at the top. As root, with linux-perf.
#
#     bench/profile.sh [route|masq|tunnel] [FLOWS] [TAP-OPTIONS-AS-JSON]
set -euo pipefail
cd "$(dirname "$0")/.."
method=${1:-route}
flows=${2:-1000}
options=${3:-'{}'}

npm run --silent compile
baseline=build/baseline
mkdir -p "$baseline"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -o "$baseline/sender" bench/baseline/sender.c

work=$(mktemp -d)
name=tapvs-profile-$$
outer=$name-outer
cleanup() {
  exec 7>&- || true
  rm -rf "$work" "/tmp/perf-${director:-0}.map"
  ip netns del "$name" 2>/dev/null || true
  ip netns del "$outer" 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# The sender on one side of a bridge, nobody on the other: what is forwarded ends there.
ip netns add "$name"
ip netns add "$outer"
for one in "$name" "$outer"; do
  ip netns exec "$one" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
done
ip -n "$name" link add br0 type bridge mcast_snooping 0
ip -n "$name" link set br0 up
for port in sender receiver; do
  ip -n "$outer" link add "$port" type veth peer name "$port" netns "$name"
  ip -n "$outer" link set "$port" up
  ip -n "$name" link set "$port" master br0 up
done
ip netns exec "$name" bridge fdb replace 02:00:00:00:01:02 dev sender master static
ip netns exec "$name" bridge fdb replace 02:00:00:00:01:0b dev receiver master static

mkfifo "$work/input"
task='{"tap":"tap0","method":"'$method'","ends":{"from":"02:00:00:00:01:02","to":"02:00:00:00:01:0b"},
  "maxConnections":2097152,"tapOptions":'$options',"directorOptions":{}}'
ip netns exec "$name" taskset -c 1 node --perf-basic-prof --interpreted-frames-native-stack --no-logfile-per-isolate --logfile="$work/v8.log" \
  build/bench/wire/director-process.js "$task" <"$work/input" >"$work/output" &
director=$!
exec 7>"$work/input"
for ((i = 0; i < 100; i++)); do
  if grep -q ready "$work/output"; then break; fi
  sleep 0.1
done
ip -n "$name" link set tap0 master br0 up
ip netns exec "$name" bridge fdb replace 02:00:00:00:00:01 dev tap0 master static

kind=(--flows "$flows" --prepare 50000)
if [[ $flows == flood ]]; then kind=(--flood); fi
if [[ $method == masq ]]; then kind+=(--replies receiver); fi
ip netns exec "$outer" timeout 60 taskset -c 0 "$baseline/sender" --interface sender --to 02:00:00:00:00:01 \
  --as 02:00:00:00:01:02 --seconds 5 "${kind[@]}" >"$work/sender" &
sender=$!
for ((i = 0; i < 300; i++)); do
  if grep -q sending "$work/sender"; then break; fi
  sleep 0.1
done
sleep 1
# There is no counter of cycles in most virtual machines; the clock samples those too.
perf record --quiet --event cpu-clock --freq 4000 --pid "$director" --output "$work/data" -- sleep 3
wait "$sender"
echo >&7
sleep 0.2
perf report --input "$work/data" --sort dso,symbol --percent-limit 0 --field-separator '|' --stdio --quiet 2>/dev/null |
  grep -v '^$' >"$work/report"

echo "--- by part, %"
awk -F'|' '
  { share = $1; gsub(/[ %]/, "", share); where = $2; symbol = $3 }
  where ~ /kernel|kvm|guest/ || symbol ~ /\[k\]/ { part = "kernel" }
  where ~ /tapvs\.node|prebuilds/ && symbol !~ /\[k\]/ { part = "addon" }
  where ~ /perf-[0-9]+\.map|JIT/ { part = symbol ~ /(LazyCompile|Function|Script|JS):?[*+~^]?/ ? "JavaScript, " tier(symbol) : "V8 stubs and builtins" }
  where ~ /(^| )node *$/ && symbol !~ /\[k\]/ { part = "node (V8, libuv)" }
  where ~ /libc|ld-|vdso|libstdc|libm/ { part = "C library, vDSO" }
  { sum[part] += share; part = "other" }
  function tier(s) { return s ~ /:\*/ ? "optimized" : s ~ /:\+/ ? "maglev" : s ~ /:\^/ ? "baseline" : "interpreted" }
  END { for (part in sum) printf "%6.2f  %s\n", sum[part], part }' "$work/report" | sort -rn
echo "--- outside of the kernel"
grep -v '\[k\]' "$work/report" | head -n 40
echo "--- in the kernel"
grep '\[k\]' "$work/report" | head -n 15
tail -n 1 "$work/output" | cut -c 1-100
