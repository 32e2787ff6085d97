"""The hub's API as a client sees it."""

import http.client
import json
import os
import ssl
import urllib.parse

from .check import Failure, expect, wait_for


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body) if self.body else None


def request(url, method="GET", path="/", headers=None, body=None, timeout=30):
    """One request on its own connection; `url` is scheme, host and port."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=os.environ.get("TRUSTED_BY_SCENARIO"))
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Hub:
    """Requests with the administrator's key; `ok` is for what must work."""

    def __init__(self, url, key):
        self.url, self.key = url, key

    def ask(self, method, path, body=None, headers=None, timeout=30):
        headers = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        return request(self.url, method, f"/api/v1{path}", headers, body, timeout)

    def ok(self, method, path, body=None, headers=None):
        answer = self.ask(method, path, body, headers)
        expect(answer.status < 300, lambda: f"{method} {path} answered {answer.status}: {answer.text[:500]}")
        return answer.json

    def get(self, path):
        return self.ok("GET", path)

    def items(self, path):
        """All pages of a list."""
        found, cursor = [], None
        for _ in range(200):
            mark = f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit=200{mark}")
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found
        raise Failure(f"{path} has no end")

    def stack(self, name="default"):
        """The one of `roost up` is made while the hub answers already."""
        return wait_for(
            f"stack {name}", lambda: next((stack for stack in self.items("/stacks") if stack["name"] == name), None))

    def service(self, service_id):
        return self.get(f"/services/{service_id}")

    def deployments(self, service_id):
        """Newest first."""
        return sorted(
            self.items(f"/services/{service_id}/deployments"), key=lambda one: one["created_at"], reverse=True
        )

    def deployment(self, deployment_id):
        return self.get(f"/deployments/{deployment_id}")

    def create_service(self, spec, stack=None):
        stack_id = (stack or self.stack())["id"]
        return self.ok("POST", f"/stacks/{stack_id}/services", spec)

    def deploy(self, service_id):
        return self.ok("POST", f"/services/{service_id}/deploy")

    def settled(self, service_id, seconds=60):
        """The newest deployment of a service once it is active or failed."""

        def newest():
            found = self.deployments(service_id)
            return found and found[0]["status"] in ("active", "failed") and found[0]

        return wait_for(f"deployment of {service_id} settles", newest, seconds)

    def active(self, service_id, seconds=60):
        deployment = self.settled(service_id, seconds)
        expect(
            deployment["status"] == "active",
            lambda: f"deployment {deployment['status']}: {deployment['status_message']}",
        )
        wait_for("service is active", lambda: self.service(service_id)["status"] == "active", 20)
        return deployment

    def failed(self, service_id, seconds=60):
        deployment = self.settled(service_id, seconds)
        expect(deployment["status"] == "failed", lambda: f"deployment is {deployment['status']}, wanted failed")
        return deployment

    def events(self, **filters):
        """Oldest first."""
        query = urllib.parse.urlencode(filters)
        found = self.items(f"/events{'?' + query if query else ''}")
        return sorted(found, key=lambda event: event["id"])
