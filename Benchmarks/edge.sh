#!/usr/bin/env bash
# CPU per proxied request: nginx and the edge in turn, before one and the same upstream.
#
#   Benchmarks/edge.sh [ROUNDS] [SECONDS]
#
# Needs nginx, wrk and python3 on the path and a release build (`swift build -c release --static-swift-stdlib`);
# installs nothing. ROOST names another binary. Everything runs on loopback, in a folder of its own, and is stopped by
# process id at the end.
set -euo pipefail

rounds=${1:-5}
seconds=${2:-5}
root=$(cd "$(dirname "$0")/.." && pwd)
roost=${ROOST:-$root/.build/release/roost}
connections=${CONNECTIONS:-64}
for tool in nginx wrk python3; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install nginx wrk python3" >&2; exit 1; }
done
[ -x "$roost" ] || { echo "$roost is missing: build it first" >&2; exit 1; }

work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
chmod 755 "$work"
read -r upstream_port nginx_port edge_port < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))')

common="daemon off; pid $work/PART.pid; error_log $work/PART.err; events { worker_connections 4096; }"
mkdir "$work/www"
head -c 1024 /dev/zero | tr '\0' x >"$work/www/1k"
head -c 65536 /dev/zero | tr '\0' x >"$work/www/64k"
cat >"$work/upstream.conf" <<CONF
worker_processes 1; ${common//PART/upstream}
http { access_log off; sendfile on; open_file_cache max=10; keepalive_requests 1000000000;
  server { listen 127.0.0.1:$upstream_port; root $work/www; } }
CONF
cat >"$work/nginx.conf" <<CONF
worker_processes $(nproc); ${common//PART/nginx}
http { keepalive_requests 1000000000;
  log_format full escape=json '{"time":"\$time_iso8601","host":"\$host","method":"\$request_method","path":"\$uri",'
    '"status":\$status,"bytes":\$bytes_sent,"duration":\$request_time,"upstream":"\$upstream_addr","id":"\$request_id"}';
  access_log $work/nginx.log full buffer=64k flush=1s;
  upstream service { server 127.0.0.1:$upstream_port; keepalive 64; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$nginx_port reuseport;
    location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host \$host; proxy_set_header X-Forwarded-For \$remote_addr;
      proxy_set_header X-Forwarded-Proto \$scheme; proxy_set_header X-Forwarded-Host \$host;
      proxy_set_header X-Request-Id \$request_id; } } }
CONF
python3 - "$work" "$edge_port" "$upstream_port" <<'PY'
import json, sys
work, edge, upstream = sys.argv[1], sys.argv[2], int(sys.argv[3])
json.dump({"public_address": f"127.0.0.1:{edge}", "control_socket": f"{work}/edge.sock",
           "table_path": f"{work}/table.json", "log_folder": f"{work}/log"}, open(f"{work}/edge.json", "w"))
# 1,000 routes that are not asked for, and the one that is.
routes = [{"hosts": [f"host{n}.example.com"], "path_prefix": "/", "strip_prefix": False, "upstream_id": "service"}
          for n in range(1000)]
routes.append({"hosts": [], "path_prefix": "/", "strip_prefix": False, "upstream_id": "service"})
json.dump({"routes": routes, "internal_names": {}, "internal_suffix": "svc.internal",
           "upstreams": [{"id": "service", "name": "service", "mode": "serve",
                          "endpoints": [{"host": "127.0.0.1", "port": upstream}]}]}, open(f"{work}/table.json", "w"))
PY

nginx -c "$work/upstream.conf" & pids+=($!)
nginx -c "$work/nginx.conf" & pids+=($!); nginx_pid=$!
"$roost" edge --config "$work/edge.json" >"$work/edge.out" 2>&1 & pids+=($!); edge_pid=$!
sleep 2

# Jiffies of a process and its children, user and system.
jiffies() {
    local pid sum=0 fields
    for pid in "$1" $(pgrep -P "$1" || true); do
        read -r -a fields <"/proc/$pid/stat"
        sum=$((sum + fields[13] + fields[14]))
    done
    echo "$sum"
}

measure() { # name port pid path
    local before after
    before=$(jiffies "$3")
    wrk -t1 -c"$connections" -d"${seconds}s" --latency "http://127.0.0.1:$2$4" >"$work/wrk.out"
    after=$(jiffies "$3")
    if grep -q -E 'Non-2xx|Socket errors' "$work/wrk.out"; then cat "$work/wrk.out" >&2; exit 1; fi
    awk -v name="$1" -v path="$4" -v jiffies=$((after - before)) -v hertz="$(getconf CLK_TCK)" '
        /requests in/ { requests = $1 } /99%/ { p99 = $2 } /Requests\/sec/ { rate = $2 }
        END { printf "%s %s %d %.2f %s %.0f\n", name, path, requests, jiffies / hertz * 1e6 / requests, p99, rate }
    ' "$work/wrk.out" >>"$work/results"
}

for path in /1k /64k; do
    for _ in $(seq "$rounds"); do
        measure nginx "$nginx_port" "$nginx_pid" "$path"
        measure edge "$edge_port" "$edge_pid" "$path"
    done
done

python3 - "$work/results" "$connections" <<'PY'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
print(f"{sys.argv[2]} connections, keep-alive; median of the rounds, and the best one")
print("answer   server   CPU µs/request   best   requests/s   p99 (last)   ratio   ratio of best")
for path in dict.fromkeys(row[1] for row in rows):
    base = None
    for name in ("nginx", "edge"):
        mine = [row for row in rows if row[0] == name and row[1] == path]
        cpu = statistics.median(float(row[3]) for row in mine)
        best = min(float(row[3]) for row in mine)
        rate = statistics.median(float(row[5]) for row in mine)
        base = base or (cpu, best)
        print(f"{path:8} {name:8} {cpu:14.2f} {best:6.2f} {rate:12.0f} {mine[-1][4]:>12} {cpu / base[0]:7.2f}"
              f" {best / base[1]:15.2f}")
PY
