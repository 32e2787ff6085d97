#!/bin/bash
# Throw-away Debian hosts with systemd as PID 1 and their own addresses, for tests. Needs root on Debian or Ubuntu.
#
#   up NAME IP       boot; the disk is made on first use (IP inside 10.78.0.0/24, NAME of at most 12 characters)
#   exec NAME CMD…   run a command as a unit of the host's own systemd
#   put NAME FILE…   copy files into the host's /opt/roost-test
#   kill NAME        cut the power; the disk stays        reboot NAME      from inside
#   cut NAME         pull the network cable               heal NAME        plug it in again
#   rm NAME          power off and delete                 clean            rm all, and the network
#   lab CMD…         run a command in the hosts' network (10.78.0.1)
#
# Environment: ROOST_LAB_DIR (default /var/cache/roost-lab; base image and disks), ROOST_LAB_BIND ("OUT:IN …", folders
# of this machine that the hosts see read-only).
set -euo pipefail
export LC_ALL=C
DIR=${ROOST_LAB_DIR:-/var/cache/roost-lab}
SUITE=bookworm
SPACE=roost-lab
BRIDGE=rl0
GATEWAY=10.78.0.1
PACKAGES=systemd,systemd-sysv,systemd-resolved,dbus,openssh-server,iproute2,iputils-ping,procps,nftables,curl,ca-certificates
PACKAGES=$PACKAGES,git,python3-minimal,adduser,passwd

die() { echo "host.sh: $*" >&2; exit 1; }
in_lab() { nsenter --net=/run/netns/$SPACE -- "$@"; }

install_tools() {
  local missing=() pair
  for pair in systemd-nspawn:systemd-container mmdebstrap:mmdebstrap nsenter:util-linux ip:iproute2; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [ ${#missing[@]} = 0 ] && return
  apt-get -o DPkg::Lock::Timeout=300 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# The image is built in memory (dpkg syncs a lot), and once: its name holds a digest of what is in it.
make_base() {
  local digest
  digest=$(echo "$SUITE $PACKAGES" | sha256sum | cut -c1-12)
  BASE=$DIR/base-$digest
  [ -e "$BASE/.ready" ] && return
  local build=$DIR/build sources=()
  mkdir -p "$build"
  mountpoint -q "$build" || mount -t tmpfs -o size=3G tmpfs "$build"
  if grep -qs "Suites:.*$SUITE" /etc/apt/sources.list.d/debian.sources; then
    cp /etc/apt/sources.list.d/debian.sources "$build/debian.sources"
    sources=("$build/debian.sources")
  fi
  TMPDIR=$build mmdebstrap --quiet --variant=minbase --include="$PACKAGES" \
    --customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname; : > "$1"/etc/machine-id' \
    --customize-hook='systemctl --root="$1" -q enable systemd-networkd.service' \
    --customize-hook='systemctl --root="$1" -q disable systemd-resolved.service' \
    --customize-hook='systemctl --root="$1" -q mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer' \
    "$SUITE" "$build/base.tar" "${sources[@]}" >&2
  rm -rf --one-file-system "$BASE"
  mkdir -p "$BASE"
  tar -C "$BASE" -xf "$build/base.tar" --numeric-owner --xattrs --xattrs-include='*'
  umount "$build"
  touch "$BASE/.ready"
}

make_network() {
  [ -e /run/netns/$SPACE ] && return
  ip netns add $SPACE
  in_lab ip link set lo up
  in_lab ip link add $BRIDGE type bridge
  in_lab ip addr add $GATEWAY/24 dev $BRIDGE
  in_lab ip link set $BRIDGE up
}

# An overlay over the base: a new host costs what it writes.
make_disk() { # NAME IP
  local home=$DIR/hosts/$1 root=$DIR/hosts/$1/root new=
  [ -e "$home/ip" ] || new=1
  mkdir -p "$home"/{upper,work,root}
  mountpoint -q "$root" \
    || mount -t overlay "roost-$1" -o "lowerdir=$BASE,upperdir=$home/upper,workdir=$home/work" "$root"
  [ -n "$new" ] || return 0
  echo "$1" > "$root/etc/hostname"
  rm -f "$root/etc/resolv.conf"
  printf '127.0.0.1 localhost\n%s %s\n%s lab\n' "$2" "$1" $GATEWAY > "$root/etc/hosts"
  printf '[Match]\nName=host0\n[Network]\nAddress=%s/24\nGateway=%s\n' "$2" $GATEWAY \
    > "$root/etc/systemd/network/10-host0.network"
  ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$root/etc/ssh/ssh_host_ed25519_key" 2>/dev/null || true
  mkdir -p "$root/opt/roost-test"
  echo "$2" > "$home/ip"
}

join_groups() { # NAME: a subtree of its own in every hierarchy, and this shell into it
  local controller parent file
  for controller in /sys/fs/cgroup/*/; do
    controller=${controller%/}
    [ -e "$controller/cgroup.procs" ] || continue
    mkdir -p "$controller/roost-lab/$1"
    if [ -e "$controller/cpuset.cpus" ]; then
      for file in cpus mems; do for parent in roost-lab "roost-lab/$1"; do
        [ -n "$(cat "$controller/$parent/cpuset.$file")" ] \
          || cat "$controller/cpuset.$file" > "$controller/$parent/cpuset.$file"
      done; done
    fi
    # A group weighs as much as one process beside it; a host is more than that.
    [ ! -e "$controller/cpu.shares" ] || echo 65536 > "$controller/roost-lab/cpu.shares"
    echo "$BASHPID" > "$controller/roost-lab/$1/cgroup.procs"
  done
}

supervise() { # NAME: runs in the background; starts over while the guest asks for a reboot (exit code 133)
  local code pair arguments=()
  arguments=(-D "$DIR/hosts/$1/root" --machine="$1" --hostname="$1" --network-bridge=$BRIDGE --keep-unit --register=no
    --kill-signal=SIGRTMIN+3 --console=read-only --resolv-conf=off --timezone=off --link-journal=no
    --system-call-filter=bpf)
  for pair in ${ROOST_LAB_BIND:-}; do arguments+=(--bind-ro="$pair"); done
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    arguments+=(--boot)
  else
    # nspawn mounts the v1 controllers read-only; the first process of the guest makes them writable.
    arguments+=(--bind-ro="$DIR/first:/run/first" /run/first SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1)
    join_groups "$1"
  fi
  while :; do
    code=0
    in_lab systemd-nspawn "${arguments[@]}" || code=$?
    [ $code = 133 ] || break
  done
}

supervisor() { cat "$DIR/hosts/$1/pid" 2>/dev/null; }
alive() { local pid; pid=$(supervisor "$1") && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; }
nspawn() { pgrep -P "$(supervisor "$1" || echo 0)" -x systemd-nspawn || true; }
leader() {
  local pid
  pid=$(nspawn "$1")
  [ -n "$pid" ] || return 1
  pgrep -P "$pid" | head -1 | grep .
}
enter() {
  local pid
  pid=$(leader "$1") || { echo "host.sh: $1 is not running" >&2; return 1; }
  shift
  nsenter -t "$pid" -m -u -i -n -p -C -r -w -- "$@"
}

await_boot() {
  local round state
  for ((round = 0; round < 600; round++)); do
    alive "$1" || { tail -20 "$DIR/hosts/$1/console.log" >&2; die "$1 died while booting"; }
    state=$(enter "$1" systemctl is-system-running --wait 2>/dev/null || true)
    case $state in running | degraded) return ;; esac
    sleep 0.1
  done
  die "$1 did not boot within 60 s"
}

await_end() { # NAME SECONDS
  local round
  for ((round = 0; round < $2 * 20; round++)); do
    if ! alive "$1"; then
      find /sys/fs/cgroup/*/roost-lab/"$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
      rm -f "$DIR/hosts/$1/pid"
      return 0
    fi
    sleep 0.05
  done
  return 1
}

[ "$(id -u)" = 0 ] || die "needs root"
mkdir -p "$DIR"
command=${1:-}
shift || true
case $command in
up)
  name=$1
  [ ${#name} -le 12 ] || die "a name has at most 12 characters"
  alive "$name" && die "$name is up already"
  exec 8>"$DIR/lock"
  flock 8
  install_tools
  make_base
  make_network
  exec 8>&-
  make_disk "$name" "${2:-$(cat "$DIR/hosts/$name/ip")}"
  printf '#!/bin/sh\nfor c in /sys/fs/cgroup/*/; do [ -e "$c/tasks" ] && mount -o remount,bind,rw "${c%%/}"; done\nexec /lib/systemd/systemd "$@"\n' > "$DIR/first"
  chmod +x "$DIR/first"
  setsid "$0" _supervise "$name" </dev/null >"$DIR/hosts/$name/console.log" 2>&1 &
  echo $! > "$DIR/hosts/$name/pid"
  await_boot "$name"
  ;;
_supervise) supervise "$1" ;;
exec)
  name=$1
  shift
  enter "$name" systemd-run --quiet --pipe --wait --collect --service-type=exec -E HOME=/root \
    -p WorkingDirectory=/root -- "$@"
  ;;
put)
  name=$1
  shift
  for file in "$@"; do
    enter "$name" sh -c 'cat > "$1.new" && chmod 755 "$1.new" && mv "$1.new" "$1"' sh \
      "/opt/roost-test/$(basename "$file")" < "$file"
  done
  ;;
kill)
  kill -KILL "$(leader "$1")"
  await_end "$1" 5
  ;;
reboot)
  before=$(enter "$1" cat /proc/sys/kernel/random/boot_id)$(leader "$1")
  enter "$1" systemctl reboot || true
  for ((round = 0; round < 600; round++)); do
    now=$(enter "$1" cat /proc/sys/kernel/random/boot_id 2>/dev/null || true)$(leader "$1" || true)
    [ -n "$now" ] && [ "$now" != "$before" ] && leader "$1" >/dev/null && break
    sleep 0.1
  done
  await_boot "$1"
  ;;
cut) in_lab ip link set "vb-$1" down ;;
heal) in_lab ip link set "vb-$1" up ;;
rm)
  if alive "$1"; then
    pid=$(nspawn "$1")
    [ -z "$pid" ] || kill -TERM "$pid"
    await_end "$1" 20 || { kill -KILL "$(leader "$1")"; await_end "$1" 5; }
  fi
  umount "$DIR/hosts/$1/root" 2>/dev/null || true
  rm -rf --one-file-system "${DIR:?}/hosts/${1:?}"
  ;;
lab)
  make_network
  # In place of this shell, so that who ends it ends the command.
  exec nsenter --net=/run/netns/$SPACE -- "$@"
  ;;
clean)
  for host in "$DIR"/hosts/*/; do [ ! -d "$host" ] || "$0" rm "$(basename "$host")"; done
  [ ! -e /run/netns/$SPACE ] || ip netns del $SPACE
  find /sys/fs/cgroup/*/roost-lab -depth -type d -exec rmdir {} + 2>/dev/null || true
  ;;
*)
  sed -n '2,15p' "$0"
  exit 2
  ;;
esac
