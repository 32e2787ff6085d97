"""The servers in the comparison: each proxies to one upstream, with 1,000 routes and a JSON access log."""
import json
import os
import shutil
import socket

from processes import Process, free_ports

ROUTES = 1000
HOST = "host500.example.com"
FILES = "files.example.com"
CORES = os.cpu_count()


class Upstream:
    """One nginx worker that answers from memory, the same for all."""

    def __init__(self, work):
        (self.port,) = free_ports(1)
        www = f"{work}/www"
        os.makedirs(www)
        for name, size in (("1k", 1024), ("10k", 10240), ("64k", 65536)):
            with open(f"{www}/{name}", "w") as file:
                file.write("x" * size)
        self.www = www
        config = f"{work}/upstream.conf"
        write(config, f"""worker_processes 1; daemon off; pid {work}/upstream.pid; error_log {work}/upstream.err;
events {{ worker_connections 16384; }}
http {{ access_log off; sendfile on; open_file_cache max=10; keepalive_requests 1000000000; keepalive_timeout 1h;
  server {{ listen 127.0.0.1:{self.port} backlog=4096; root {www}; }} }}
""")
        self.process = Process(["nginx", "-c", config], f"{work}/upstream.out")
        self.process.wait_for(self.port)


class Peer:
    """A server under test. `ports` has one port for each scheme; `name` is what the table calls it."""

    name = ""
    servesFiles = False

    def __init__(self, work, upstream, routes=ROUTES):
        self.work = f"{work}/{self.name}"
        os.makedirs(self.work)
        self.upstream = upstream
        self.routes = routes
        self.ports = {"http": free_ports(1)[0]}
        self.process = Process(self.command(), f"{self.work}/out", self.environment())
        self.process.wait_for(self.ports["http"])

    @property
    def port(self):
        return self.ports["http"]

    def environment(self):
        return {"HOME": self.work, "XDG_DATA_HOME": self.work, "XDG_CONFIG_HOME": self.work}

    def hosts(self):
        return [f"host{number}.example.com" for number in range(self.routes)]

    def command(self):
        raise NotImplementedError

    def version(self):
        raise NotImplementedError


class Edge(Peer):
    name = "edge"
    servesFiles = True

    def command(self):
        listeners = {
            "public_address": f"127.0.0.1:{self.port}", "control_socket": f"{self.work}/edge.sock",
            "table_path": f"{self.work}/table.json", "log_folder": f"{self.work}/log"}
        write(f"{self.work}/edge.json", json.dumps(listeners))
        write(f"{self.work}/table.json", json.dumps(self.table()))
        return [os.environ["ROOST_BIN"], "edge", "--log-level", "error", "--config", f"{self.work}/edge.json"]

    def table(self):
        route = {"path_prefix": "/", "strip_prefix": False}
        routes = [{**route, "hosts": [host], "upstream_id": "service"} for host in self.hosts()]
        routes.append({**route, "hosts": [FILES], "upstream_id": "files"})
        endpoint = {"host": "127.0.0.1", "port": self.upstream.port}
        return {
            "routes": routes, "internal_names": {}, "internal_suffix": "svc.internal",
            "upstreams": [
                {"id": "service", "name": "service", "mode": "serve", "endpoints": [endpoint]},
                {"id": "files", "name": "files", "mode": "serve", "endpoints": [],
                 "static_folder": self.upstream.www}]}

    def use(self, routes):
        """Puts another table in force in the running edge."""
        self.routes = routes
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(f"{self.work}/edge.sock")
            control.sendall(json.dumps({"apply": self.table()}).encode() + b"\n")
            answer = control.makefile().readline()
        if "ok" not in json.loads(answer):
            raise SystemExit(f"the edge refused a table: {answer}")

    def version(self):
        return "edge (this build)"


class Nginx(Peer):
    name = "nginx"
    servesFiles = True

    def command(self):
        servers = "\n".join(
            f"server {{ listen 127.0.0.1:{self.port}; server_name {host}; location / {{ proxy_pass http://service; }} }}"
            for host in self.hosts())
        write(f"{self.work}/nginx.conf", f"""worker_processes {CORES}; daemon off; pid {self.work}/pid;
error_log {self.work}/error.log; worker_rlimit_nofile 20000; events {{ worker_connections 16384; }}
http {{ keepalive_requests 1000000000; sendfile on; tcp_nopush on; open_file_cache max=1000 inactive=60s;
  server_names_hash_max_size 8192; server_names_hash_bucket_size 128; default_type text/plain;
  log_format full escape=json '{{"time":"$time_iso8601","host":"$host","method":"$request_method","path":"$uri",'
    '"status":$status,"bytes":$bytes_sent,"duration":$request_time,"upstream":"$upstream_addr","id":"$request_id"}}';
  access_log {self.work}/access.log full buffer=64k flush=1s;
  upstream service {{ server 127.0.0.1:{self.upstream.port}; keepalive 1024; keepalive_requests 1000000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id;
  client_body_temp_path {self.work}/b; proxy_temp_path {self.work}/p; fastcgi_temp_path {self.work}/f;
  uwsgi_temp_path {self.work}/u; scgi_temp_path {self.work}/s;
  server {{ listen 127.0.0.1:{self.port} reuseport backlog=4096 default_server; server_name {FILES};
    root {self.upstream.www}; }}
{servers}
}}
""")
        return ["nginx", "-c", f"{self.work}/nginx.conf"]

    def version(self):
        return first_line(["nginx", "-v"]).replace("nginx version: nginx/", "nginx ")


class HAProxy(Peer):
    name = "haproxy"

    def command(self):
        write(f"{self.work}/hosts.map", "".join(f"{host} service\n" for host in self.hosts()))
        form = ('{"time":"%tr","host":"%[capture.req.hdr(0)]","method":"%HM","path":"%HPO","status":%ST,"bytes":%B,'
                '"duration_ms":%Ta,"upstream":"%si:%sp","id":"%ID"}').replace('"', '\\"')
        write(f"{self.work}/haproxy.cfg", f"""global
  nbthread {CORES}
  maxconn 9000
  log stdout format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:{self.port} backlog 4096
  log global
  unique-id-format %{{+X}}o%Ts%rt%ci%cp
  unique-id-header X-Request-Id
  declare capture request len 128
  http-request capture req.hdr(host) id 0
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  log-format "{form}"
  use_backend %[req.hdr(host),lower,map({self.work}/hosts.map)]
backend service
  server one 127.0.0.1:{self.upstream.port} pool-max-conn 1024
""")
        return ["haproxy", "-db", "-f", f"{self.work}/haproxy.cfg"]

    def version(self):
        return "HAProxy " + first_line(["haproxy", "-v"]).split()[2]


class Caddy(Peer):
    name = "caddy"

    def command(self):
        handler = [{"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{self.upstream.port}"}],
                    "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 1024}}}]
        server = {
            "listen": [f"127.0.0.1:{self.port}"], "automatic_https": {"disable": True},
            "logs": {"default_logger_name": "access"},
            "routes": [{"match": [{"host": [host]}], "handle": handler, "terminal": True} for host in self.hosts()]}
        log = {"writer": {"output": "file", "filename": f"{self.work}/access.log"}, "encoder": {"format": "json"},
               "include": ["http.log.access.access"]}
        write(f"{self.work}/caddy.json", json.dumps({
            "admin": {"disabled": True},
            "logging": {"logs": {"access": log, "default": {"level": "ERROR",
                                                            "exclude": ["http.log.access.access"]}}},
            "apps": {"http": {"servers": {"front": server}}}}))
        return [shutil.which("caddy"), "run", "--config", f"{self.work}/caddy.json"]

    def version(self):
        return "Caddy " + first_line(["caddy", "version"]).split()[0]


class Traefik(Peer):
    name = "traefik"

    def command(self):
        routers = {f"r{number}": {"rule": f"Host(`{host}`)", "service": "one", "entryPoints": ["web"]}
                   for number, host in enumerate(self.hosts())}
        write(f"{self.work}/dynamic.json", json.dumps({"http": {
            "routers": routers,
            "services": {"one": {"loadBalancer": {"serversTransport": "pool", "servers": [
                {"url": f"http://127.0.0.1:{self.upstream.port}"}]}}},
            "serversTransports": {"pool": {"maxIdleConnsPerHost": 1024}}}}))
        write(f"{self.work}/traefik.json", json.dumps({
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False}, "log": {"level": "ERROR"},
            "entryPoints": {"web": {"address": f"127.0.0.1:{self.port}"}},
            "accessLog": {"filePath": f"{self.work}/access.log", "format": "json", "bufferingSize": 1000},
            "providers": {"file": {"filename": f"{self.work}/dynamic.json", "watch": False}}}))
        return [shutil.which("traefik"), f"--configfile={self.work}/traefik.json"]

    def version(self):
        return "Traefik " + first_line(["traefik", "version"]).split()[-1]


PEERS = {peer.name: peer for peer in (Edge, Nginx, HAProxy, Caddy, Traefik)}


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def first_line(argv):
    import subprocess
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).splitlines()[0]
