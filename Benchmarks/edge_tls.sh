#!/usr/bin/env bash
# CPU per request over TLS: nginx and the edge in turn, before one and the same upstream, with the same certificate
# (P-256) and the same cipher (TLS_AES_128_GCM_SHA256).
#
#   Benchmarks/edge_tls.sh [ROUNDS] [SECONDS] [ROW…]
#
# Four rows: 1 KiB and 64 KiB answers with keep-alive (64 connections), a handshake for each request, and HTTP/2 with
# 32 streams on each of 16 connections. Needs nginx, wrk, h2load, openssl and python3 on the path and a release build; installs nothing. Everything runs on
# loopback, in a folder of its own, and is stopped by process id at the end.
set -euo pipefail

rounds=${1:-3}
seconds=${2:-3}
rows=("${@:3}")
[ ${#rows[@]} -gt 0 ] || rows=(keep-alive-1k keep-alive-64k handshakes http2)
root=$(cd "$(dirname "$0")/.." && pwd)
roost=${ROOST:-${ROOST_BIN:-$root/.build/release/roost}}
for tool in nginx wrk h2load openssl python3; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install nginx wrk nghttp2-client openssl" >&2; exit 1; }
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
read -r upstream_port nginx_port clear_port edge_port < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(4)]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))')
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout "$work/key.pem" \
    -out "$work/chain.pem" -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
chmod 600 "$work/key.pem"
# The edge takes the cipher that the client likes best, so the clients are told to like this one.
cat >"$work/openssl.cnf" <<'CONF'
openssl_conf = library
[library]
ssl_conf = modules
[modules]
system_default = ciphers
[ciphers]
Ciphersuites = TLS_AES_128_GCM_SHA256
CONF
export OPENSSL_CONF=$work/openssl.cnf

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
user root; worker_processes $(nproc); ${common//PART/nginx}
http {
  keepalive_requests 1000000000; ssl_session_cache off; ssl_session_tickets on;
  log_format full escape=json '{"time":"\$time_iso8601","host":"\$host","method":"\$request_method","path":"\$uri","status":\$status,"bytes":\$bytes_sent,"duration":\$request_time,"upstream":"\$upstream_addr","id":"\$request_id"}';
  access_log $work/nginx.log full buffer=64k flush=1s;
  upstream service { server 127.0.0.1:$upstream_port; keepalive 1024; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:$nginx_port ssl http2 reuseport;
    ssl_certificate $work/chain.pem; ssl_certificate_key $work/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host \$host; proxy_set_header X-Forwarded-For \$remote_addr;
      proxy_set_header X-Forwarded-Proto \$scheme; proxy_set_header X-Forwarded-Host \$host;
      proxy_set_header X-Request-Id \$request_id; } } }
CONF
python3 - "$work" "$clear_port" "$edge_port" "$upstream_port" <<'PY'
import json, sys
work, clear, edge, upstream = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
json.dump({"public_address": f"127.0.0.1:{clear}", "tls_address": f"127.0.0.1:{edge}",
           "control_socket": f"{work}/edge.sock", "table_path": f"{work}/table.json", "log_folder": f"{work}/log"},
          open(f"{work}/edge.json", "w"))
routes = [{"hosts": [f"host{n}.example.com"], "path_prefix": "/", "strip_prefix": False, "upstream_id": "service"}
          for n in range(1000)]
routes.append({"hosts": [], "path_prefix": "/", "strip_prefix": False, "upstream_id": "service"})
json.dump({"routes": routes, "internal_names": {}, "internal_suffix": "svc.internal",
           "certificates": [{"names": ["localhost"], "certificate_path": f"{work}/chain.pem",
                             "key_path": f"{work}/key.pem"}],
           "upstreams": [{"id": "service", "name": "service", "mode": "serve",
                          "endpoints": [{"host": "127.0.0.1", "port": upstream}]}]}, open(f"{work}/table.json", "w"))
PY
nginx -c "$work/upstream.conf" & pids+=($!)
nginx -c "$work/nginx.conf" & pids+=($!); nginx_pid=$!
"$roost" edge --config "$work/edge.json" >"$work/edge.out" 2>&1 & pids+=($!); edge_pid=$!
for port in "$nginx_port" "$edge_port"; do
    for _ in $(seq 100); do
        curl -fs --cacert "$work/chain.pem" --resolve "localhost:$port:127.0.0.1" -o "$work/answer" \
            "https://localhost:$port/1k" && break
        sleep 0.1
    done
    cmp "$work/answer" "$work/www/1k"
    cipher=$(openssl s_client -connect "127.0.0.1:$port" -servername localhost </dev/null 2>/dev/null \
        | sed -n 's/.*Cipher is //p' | head -1)
    [ "$cipher" = TLS_AES_128_GCM_SHA256 ] || { echo "port $port speaks $cipher" >&2; exit 1; }
done

# Jiffies of a process and its children, user and system.
jiffies() {
    local pid sum=0 fields
    for pid in "$1" $(pgrep -P "$1" || true); do
        read -r -a fields <"/proc/$pid/stat"
        sum=$((sum + fields[13] + fields[14]))
    done
    echo "$sum"
}

# wrk and h2load look the name up; both know localhost.
load() { # row port
    case "$1" in
        keep-alive-*) wrk -t1 -c64 -d"${seconds}s" "https://localhost:$2/${1#keep-alive-}" ;;
        handshakes) wrk -t1 -c16 -d"${seconds}s" -H 'Connection: close' "https://localhost:$2/1k" ;;
        http2) h2load -c16 -m32 -t1 -D "$seconds" "https://localhost:$2/1k" ;;
    esac
}

measure() { # name port pid row
    local before after requests
    before=$(jiffies "$3")
    load "$4" "$2" >"$work/load.out" 2>&1
    after=$(jiffies "$3")
    if grep -q -E 'Non-2xx|connect [1-9]|[1-9][0-9]* failed' "$work/load.out"; then cat "$work/load.out" >&2; exit 1; fi
    requests=$(sed -n -E 's/^ *([0-9]+) requests in.*/\1/p; s/^requests: .* ([0-9]+) succeeded.*/\1/p' "$work/load.out")
    awk -v name="$1" -v row="$4" -v requests="$requests" -v jiffies=$((after - before)) -v seconds="$seconds" \
        -v hertz="$(getconf CLK_TCK)" \
        'BEGIN { printf "%s %s %.2f %.0f\n", name, row, jiffies / hertz * 1e6 / requests, requests / seconds }' \
        >>"$work/results"
}

for row in "${rows[@]}"; do
    for _ in $(seq "$rounds"); do
        measure nginx "$nginx_port" "$nginx_pid" "$row"
        measure edge "$edge_port" "$edge_pid" "$row"
    done
done

python3 - "$work/results" <<'PY'
import statistics, sys
rows = [line.split() for line in open(sys.argv[1])]
print("TLS 1.3, TLS_AES_128_GCM_SHA256, P-256; 1 KiB answers unless named; median of the rounds, and the best one")
print("row            server   CPU µs/request     best   requests/s   ratio   ratio of best")
for kind in dict.fromkeys(row[1] for row in rows):
    base = None
    for name in ("nginx", "edge"):
        mine = [row for row in rows if row[0] == name and row[1] == kind]
        cpu = statistics.median(float(row[2]) for row in mine)
        best = min(float(row[2]) for row in mine)
        base = base or (cpu, best)
        rate = statistics.median(float(row[3]) for row in mine)
        print(f"{kind:14} {name:8} {cpu:14.2f} {best:8.2f} {rate:12.0f} {cpu / base[0]:7.2f} {best / base[1]:15.2f}")
PY
