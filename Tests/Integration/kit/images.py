"""Repositories of services that are containers. Their one program is busybox, so that no registry is needed."""

from .engine import IMAGE

START = """echo "container starts $(cat /www/version.txt)"
test -e /www/late && sleep "$(cat /www/late)"
exec httpd -f -p "0.0.0.0:$PORT" -h /www
"""

# Each answers as plain text.
ENVIRONMENT = """printf 'Content-Type: text/plain\\r\\n\\r\\n'
env
"""
# Adds its query to a file of the volume, and shows the file.
APPEND = """printf 'Content-Type: text/plain\\r\\n\\r\\n'
test -n "$QUERY_STRING" && echo "$QUERY_STRING" >> /data/list
cat /data/list
"""
PEER = """printf 'Content-Type: text/plain\\r\\n\\r\\n'
wget -q -O - http://store:8080/list
"""

DOCKERFILE = f"""FROM {IMAGE}
COPY www /www
COPY start.sh /start.sh
RUN for name in env append peer; do sed -i '1i #!/bin/sh' "/www/cgi-bin/$name"; chmod 755 "/www/cgi-bin/$name"; done
CMD ["sh", "/start.sh"]
"""

COMPOSE = f"""services:
  web:
    build: .
    ports: ["127.0.0.1:${{PORT}}:80"]
    environment:
      PORT: "80"
      TOKEN: ${{TOKEN:?}}
    volumes: ["data:/data"]
    depends_on: [store]
    init: true
  store:
    init: true
    image: {IMAGE}
    command: httpd -f -p 8080 -h /data
    volumes: ["data:/data"]
volumes:
  data: {{}}
"""


def container(version="1"):
    return {
        "Dockerfile": DOCKERFILE,
        "start.sh": START,
        "www/cgi-bin/env": ENVIRONMENT,
        "www/cgi-bin/append": APPEND,
        "www/cgi-bin/peer": PEER,
        "www/healthz": "well\n",
        **release(version),
    }


def compose(version="1"):
    return {**container(version), "compose.yaml": COMPOSE}


def release(version):
    return {"www/version.txt": f"version={version}\n"}
