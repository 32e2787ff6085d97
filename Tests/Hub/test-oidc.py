#!/usr/bin/env python3
"""The OpenID provider of a real hub, with authlib (PyPI) as the relying party."""
import base64
import html
import json
import re
import secrets
import urllib.parse

import httpx
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from real_hub import RealHub, run, wait_for

CALLBACK = "https://panel.example.org/callback?from=roost"
EMAIL, PASSWORD = "anna@example.org", "correct horse battery staple"


class Party:
    """A relying party that authlib makes, and the browser of a person."""

    def __init__(self, hub, kind="confidential", method="client_secret_basic", redirect=CALLBACK):
        self.hub, self.redirect = hub, redirect
        made = hub.ok(
            "POST", "/oidc/clients", {"name": "Panel", "redirect_uris": [redirect], "type": kind})
        self.id, self.secret = made["id"], made.get("client_secret")
        assert bool(self.secret) == (kind == "confidential"), made
        self.meta = httpx.get(f"{hub.url}/.well-known/openid-configuration").json()
        self.oauth = OAuth2Client(
            self.id, self.secret, scope="openid profile email", redirect_uri=redirect, code_challenge_method="S256",
            token_endpoint_auth_method=method)
        self.browser = httpx.Client(base_url=hub.url)

    def begin(self, **more):
        self.verifier, self.nonce = generate_token(64), generate_token(16)
        url, self.state = self.oauth.create_authorization_url(
            self.meta["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce, **more)
        return url

    def log_in(self):
        answer = self.browser.post("/login", data={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 303 and self.browser.cookies, answer.text

    def returned(self, url):
        """Where a browser that is logged in ends up."""
        answer = self.browser.get(url)
        assert answer.status_code == 303, (answer.status_code, answer.text)
        location = answer.headers["location"]
        assert location.startswith(self.redirect), location
        return location

    def tokens(self, location, **more):
        return self.oauth.fetch_token(
            self.meta["token_endpoint"], authorization_response=location, state=self.state,
            code_verifier=more.pop("code_verifier", self.verifier), **more)

    def claims(self, tokens):
        keys = KeySet.import_key_set(httpx.get(self.meta["jwks_uri"]).json())
        decoded = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"])
        claims = CodeIDToken(
            decoded.claims, decoded.header,
            {
                "iss": {"essential": True, "value": self.meta["issuer"]},
                "aud": {"essential": True, "value": self.id},
            },
            {"nonce": self.nonce, "client_id": self.id, "access_token": tokens["access_token"]})
        claims.validate()
        return claims


def query(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def refused(party, location, **more):
    try:
        party.tokens(location, **more)
    except OAuthError as error:
        return error.error
    raise AssertionError("the code was taken")


def discovery(hub):
    """discovery names what there is, and nothing else"""
    meta = httpx.get(f"{hub.url}/.well-known/openid-configuration").json()
    assert meta["issuer"] == hub.url and meta["code_challenge_methods_supported"] == ["S256"]
    keys = httpx.get(meta["jwks_uri"]).json()["keys"]
    assert len(keys) == 1 and not any("d" in key for key in keys), keys
    assert keys == httpx.get(meta["jwks_uri"]).json()["keys"]


def whole_login(hub):
    """a person logs in through the dashboard's login page, for each way a client may show itself"""
    for kind, method in (("confidential", "client_secret_basic"), ("confidential", "client_secret_post"), ("public", "none")):
        party = Party(hub, kind, method)
        url = party.begin()
        first = party.browser.get(url)
        assert first.status_code == 303 and first.headers["location"].startswith("/login?next="), first.headers
        following = query(first.headers["location"])["next"]
        answer = party.browser.post("/login", data={"email": EMAIL, "password": PASSWORD, "next": following})
        assert answer.status_code == 303 and answer.headers["location"] == following, answer.headers
        page = party.browser.get(following)
        assert page.status_code == 200 and "form-action" not in page.headers["content-security-policy"]
        onward = html.unescape(re.search(r'content="0;url=([^"]+)"', page.text).group(1))
        location = party.returned(onward)
        assert query(location)["from"] == "roost" and query(location)["iss"] == hub.url
        tokens = party.tokens(location)
        assert tokens["token_type"] == "Bearer" and tokens["expires_in"] == 3600
        claims = party.claims(tokens)
        user = hub.ok("GET", "/users?search=anna")["items"][0]
        assert claims["sub"] == user["id"] and claims["email"] == EMAIL, claims
        told = party.oauth.get(party.meta["userinfo_endpoint"]).json()
        assert told["sub"] == user["id"] and told["email"] == EMAIL, told
        assert httpx.get(party.meta["userinfo_endpoint"]).status_code == 401


def codes_work_once(hub):
    """a code works once, for its client, address and verifier; a second use takes back what the first gave"""
    party, other = Party(hub), Party(hub)
    party.log_in()
    location = party.returned(party.begin())
    tokens = party.tokens(location)
    assert party.oauth.get(party.meta["userinfo_endpoint"]).status_code == 200
    assert refused(party, location) == "invalid_grant"
    info = httpx.get(
        party.meta["userinfo_endpoint"], headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert info.status_code == 401 and "invalid_token" in info.headers["www-authenticate"], info
    location = party.returned(party.begin())
    assert refused(party, location, code_verifier=generate_token(64)) == "invalid_grant"
    assert refused(party, location) == "invalid_grant", "a code outlived a wrong verifier"
    location = party.returned(party.begin())
    other.state, other.verifier = party.state, party.verifier
    assert refused(other, location) == "invalid_grant", "another client took the code"
    location = party.returned(party.begin())
    assert refused(party, location, redirect_uri="https://panel.example.org/callback") == "invalid_grant"
    location = party.returned(party.begin())
    party.oauth.client_secret = "rcs_" + "0" * 64
    assert refused(party, location) == "invalid_client"


def requests_are_checked(hub):
    """wrong clients and addresses get a page, everything else goes back to the client"""
    party = Party(hub)
    party.log_in()
    good = query(party.begin())

    def ask(**changes):
        values = {name: value for name, value in {**good, **changes}.items() if value is not None}
        return party.browser.get("/oidc/authorize", params=values)

    for changes in (
        {"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": CALLBACK + "&more=1"},
        {"redirect_uri": "https://evil.example/callback"}, {"redirect_uri": CALLBACK.upper()}, {"redirect_uri": None},
        {"client_id": "<script>alert(1)</script>"},
    ):
        answer = ask(**changes)
        assert answer.status_code == 400 and "location" not in answer.headers, (changes, answer.status_code)
        assert "text/html" in answer.headers["content-type"] and "<script" not in answer.text, answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    for changes, word in (
        ({"response_type": "token"}, "unsupported_response_type"), ({"scope": "email"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"), ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "login"}, "login_required"), ({"request": "x.y.z"}, "request_not_supported"),
    ):
        answer = ask(**changes)
        back = query(answer.headers["location"])
        assert back["error"] == word and back["state"] == good["state"], (changes, back)
    nobody = httpx.Client(base_url=hub.url)
    back = query(nobody.get("/oidc/authorize", params={**good, "prompt": "none"}).headers["location"])
    assert back["error"] == "login_required", back
    # Behind the session of an API key is nobody.
    nobody.post("/login", data={"key": hub.key})
    back = query(nobody.get("/oidc/authorize", params={**good, "prompt": "none"}).headers["location"])
    assert back["error"] == "login_required", back


def clients_are_kept_well(hub):
    """a client's secret is shown once and stored as a hash; addresses that anybody could hold are refused"""
    party = Party(hub)
    for path in (f"/oidc/clients/{party.id}", f"/oidc-clients/{party.id}"):
        assert party.secret not in json.dumps(hub.ok("GET", path))
    assert httpx.get(f"{hub.url}/oidc/clients", headers={"Authorization": f"Bearer {hub.key}"}).status_code == 200
    assert httpx.get(f"{hub.url}/oidc/clients").status_code == 401
    with open(f"{hub.folder}/data/hub/roost.db", "rb") as file:
        assert party.secret.encode() not in file.read()
    for bad in (
        "http://panel.example.org/", "https://panel.example.org/#x", "javascript:alert(1)", "https://a@b.example/",
        "https://", "//b.example", "https://b.example/\u00e9", "http://localhost.evil.example/",
    ):
        status, _ = hub.ask("POST", "/oidc/clients", {"name": "x", "redirect_uris": [bad]})
        assert status == 400, bad
    new = hub.ok("POST", f"/oidc-clients/{party.id}/rotate-secret")["client_secret"]
    party.log_in()
    location = party.returned(party.begin())
    assert refused(party, location) == "invalid_client", "the old secret works"
    party.oauth.client_secret = new
    party.tokens(party.returned(party.begin()))


def keys_rotate(hub):
    """after a rotation new tokens have the new key, and the old ones can still be verified"""
    party = Party(hub)
    party.log_in()
    old = party.tokens(party.returned(party.begin()))
    old_nonce = party.nonce
    planned = hub.ok("POST", "/oidc/rotate-key?plan=true")
    assert [line["kind"] for line in planned["plan"]] == ["oidc-key"], planned
    assert len(httpx.get(party.meta["jwks_uri"]).json()["keys"]) == 1, "a plan made a key"
    once = {"Idempotency-Key": "rotation"}
    kid = hub.ok("POST", "/oidc/rotate-key", headers=once)["kid"]
    assert hub.ok("POST", "/oidc/rotate-key", headers=once)["kid"] == kid, "one key twice"
    new = party.tokens(party.returned(party.begin()))
    head = json.loads(base64.urlsafe_b64decode(new["id_token"].split(".")[0] + "=="))
    assert head["kid"] == kid, head
    party.claims(new)
    party.nonce = old_nonce
    party.claims(old)
    keys = httpx.get(party.meta["jwks_uri"]).json()["keys"]
    assert [key["kid"] for key in keys][0] == kid and len(keys) == 2, keys


def new_passwords_end_tokens(hub):
    """access tokens and codes of a user end with the password that they were given for, and with the user's disabling"""
    user = next(one for one in hub.ok("GET", "/users")["items"] if one["email"] == EMAIL)["id"]
    for change, undo in (({"password": "another password"}, {"password": PASSWORD}),
                         ({"is_disabled": True}, {"is_disabled": False})):
        party = Party(hub)
        party.log_in()
        tokens = party.tokens(party.returned(party.begin()))
        pending = party.returned(party.begin())

        def told():
            return httpx.get(
                party.meta["userinfo_endpoint"], headers={"Authorization": f"Bearer {tokens['access_token']}"}).status_code

        assert told() == 200
        hub.ok("PUT", f"/users/{user}", change)
        assert told() == 401, change
        assert refused(party, pending) == "invalid_grant", change
        hub.ok("PUT", f"/users/{user}", undo)
        assert told() == 401, undo


def gone_is_gone(hub):
    """a removed client or user gets nothing more"""
    party = Party(hub)
    party.log_in()
    tokens = party.tokens(party.returned(party.begin()))
    pending = party.returned(party.begin())
    hub.ok("DELETE", f"/oidc-clients/{party.id}")
    info = httpx.get(party.meta["userinfo_endpoint"], headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert info.status_code == 401
    assert refused(party, pending) == "invalid_client"


def tenants_log_in(hub):
    """a login hint of a tenant logs it in once; a suspended tenant gets nothing more"""
    brand = hub.ok("POST", "/brands", {
        "name": "Acme", "base_hostname": "acme.example", "primary_ns": "ns1.acme.example",
        "secondary_ns": "ns2.acme.example", "hostmaster_email": "dns@acme.example"})["id"]
    region = hub.ok("POST", "/regions", {"name": "eu-1"})["id"]
    cluster = hub.ok("POST", f"/regions/{region}/clusters", {"name": "eu-1-a"})["id"]
    shard = hub.ok("POST", f"/clusters/{cluster}/shards", {"name": "web-1", "role": "web"})["id"]
    tenant = hub.ok("POST", "/tenants", {
        "brand_id": brand, "region_id": region, "cluster_id": cluster, "shard_id": shard})["id"]
    wait_for(lambda: hub.ok("GET", f"/tenants/{tenant}")["status"] == "active")
    party = Party(hub)
    planned = hub.ok("POST", f"/tenants/{tenant}/login-sessions?plan=true")
    assert planned["plan"][0]["change"] == "create" and "login_hint" not in planned, planned
    hint = hub.ok("POST", f"/tenants/{tenant}/login-sessions")["login_hint"]
    tokens = party.tokens(party.returned(party.begin(login_hint=hint)))
    claims = party.claims(tokens)
    assert claims["sub"] == tenant and claims["tenant_id"] == tenant and claims["brand_id"] == brand, claims
    again = party.browser.get(party.begin(login_hint=hint))
    assert again.status_code == 400 and "used already" in again.text, again.text
    elsewhere = hub.ok("POST", "/brands", {
        "name": "Elsewhere", "base_hostname": "else.example", "primary_ns": "ns1.else.example",
        "secondary_ns": "ns2.else.example", "hostmaster_email": "dns@else.example"})["id"]
    other = hub.ok("POST", "/api-keys", {"name": "other brand", "scopes": ["*:*"], "brands": [elsewhere]})["key"]
    assert hub.ask("POST", f"/tenants/{tenant}/login-sessions", key=other)[0] == 404
    hub.ok("POST", f"/tenants/{tenant}/suspend", {"reason": "unpaid"})
    wait_for(lambda: hub.ok("GET", f"/tenants/{tenant}")["status"] == "suspended")
    for query in ("", "?plan=true"):
        assert hub.ask("POST", f"/tenants/{tenant}/login-sessions{query}")[0] == 409
    assert party.oauth.get(party.meta["userinfo_endpoint"]).status_code == 401


def issuer_is_configured(hub):
    """the platform's oidc_issuer is what tokens name"""
    issuer = f"http://localhost:{hub.port}"
    hub.ok("PUT", "/platform/config", {"oidc_issuer": issuer})
    party = Party(hub)
    assert party.meta["issuer"] == issuer and party.meta["token_endpoint"] == f"{issuer}/oidc/token", party.meta
    hub.ok("PUT", "/platform/config", {"oidc_issuer": None})


def guesses_are_limited(hub):
    """somebody who guesses secrets is made to wait"""
    party = Party(hub)
    statuses = []
    for _ in range(20):
        answer = httpx.post(
            party.meta["token_endpoint"], auth=(party.id, secrets.token_hex(8)),
            data={"grant_type": "authorization_code", "code": "0" * 64, "redirect_uri": CALLBACK, "code_verifier": "x" * 43})
        statuses.append(answer.status_code)
    assert 429 in statuses and statuses[0] == 401, statuses


if __name__ == "__main__":
    with RealHub() as real:
        real.ok("POST", "/users", {"email": EMAIL, "password": PASSWORD, "role": "viewer"})
        run(
            [
                discovery, whole_login, codes_work_once, requests_are_checked, clients_are_kept_well, keys_rotate,
                new_passwords_end_tokens, gone_is_gone, tenants_log_in, issuer_is_configured, guesses_are_limited,
            ], real)
