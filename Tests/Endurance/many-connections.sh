#!/bin/bash
# 20,000 idle connections, or as many as are asked for: Tests/Endurance/many-connections.sh [COUNT]
#
# Where the hard limit of descriptors is lower, the test runs under a kernel of its own, which is a program of this user
# (the package user-mode-linux). Needs root, python3 and nginx; ROOST_BIN names the program.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
count=${1:-20000}
program=$(realpath "${ROOST_BIN:-$here/../../.build/debug/roost}")
test=(python3 "$here/test-endurance.py" --connections "$count" idle_connections)
export PATH ROOST_BIN=$program

if [ "$(ulimit -Hn)" -ge $((count + 5000)) ]; then exec "${test[@]}"; fi
command -v linux.uml > /dev/null || apt-get install -y -qq --no-install-recommends user-mode-linux > /dev/null
script=$(mktemp)
trap 'rm -f "$script"' EXIT
cat > "$script" <<END
#!/bin/sh
mount -t proc proc /proc
ip link set lo up
ulimit -n 262144
PATH='$PATH' HOME=/root ROOST_BIN='$program' ${test[*]@Q}
echo o > /proc/sysrq-trigger
sleep 60
END
chmod 700 "$script"
timeout 900 linux.uml mem=8G root=/dev/root rootfstype=hostfs rw init="$script" quiet con=null con0=null,fd:1 \
    < /dev/null | tee "$script.log"
trap 'rm -f "$script" "$script.log"' EXIT
grep -q '^ok  ' "$script.log"
