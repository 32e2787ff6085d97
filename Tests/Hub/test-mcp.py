#!/usr/bin/env python3
"""The MCP server of a real hub, spoken to by the official Python SDK (PyPI: mcp)."""
import asyncio
import json
import urllib.error
import urllib.request

import httpx2 as httpx
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from real_hub import RealHub, run

MODES = ["legacy", "auto", "2026-07-28"]


def speaking(hub, body, mode="auto", key=None):
    """Runs `body` with a client that has shaken hands, or needs not."""

    async def whole():
        headers = {"Authorization": f"Bearer {key or hub.key}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            async with Client(streamable_http_client(f"{hub.url}/mcp", http_client=http), mode=mode) as client:
                return await body(client)

    return asyncio.run(asyncio.wait_for(whole(), 60))


async def all_tools(client):
    found, cursor, pages = {}, None, 0
    while True:
        page = await client.list_tools(cursor=cursor)
        found |= {tool.name: tool for tool in page.tools}
        pages += 1
        cursor = page.next_cursor
        if not cursor:
            return found, pages


def raw(hub, message, headers=None, key=True, method="POST"):
    """Status, headers and body of a request as it is."""
    head = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **(headers or {})}
    if key:
        head["Authorization"] = f"Bearer {hub.key}"
    data = message if isinstance(message, bytes) or message is None else json.dumps(message).encode()
    request = urllib.request.Request(f"{hub.url}/mcp", method=method, data=data, headers=head)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


def tools_are_the_api(hub):
    """every operation of the OpenAPI document that is no stream or upload is a tool, in each revision"""
    document = json.load(urllib.request.urlopen(f"{hub.url}/docs/openapi.json"))
    operations = {
        op["operationId"] for item in document["paths"].values() for op in item.values()
        if "application/octet-stream" not in op.get("requestBody", {}).get("content", {}) and op.get("security") != []
    }
    operations = {one for one in operations if not (one.startswith("create-") and one.endswith("-below"))}
    # The same operations at another address.
    operations = {one for one in operations if not one.endswith("-of-provider")}
    for mode in MODES:
        tools, pages = speaking(hub, all_tools, mode)
        assert pages > 1, "the list has one page"
        titles = {tool.title.lower() for tool in tools.values()}
        missing = {one for one in operations if one.replace("-", " ") not in titles}
        assert not missing, f"{mode}: no tool for {missing}"
        assert len(tools) == len(titles), "two tools of one title"
    assert tools["services_deploy"].annotations.read_only_hint is False
    assert tools["stacks_delete"].annotations.destructive_hint is True
    schema = tools["stacks_create"].input_schema
    assert "name" in schema["required"] and "plan" in schema["properties"], schema
    assert "$ref" not in json.dumps({name: tool.input_schema for name, tool in tools.items()})


def life_of_a_resource(hub):
    """a stack is made, read, listed, changed and deleted by tools, with its audit entries"""
    for mode in MODES:
        name = f"mcp-{mode[:4]}"

        async def body(client):
            planned = await client.call_tool("stacks_create", {"name": name, "plan": True})
            assert not planned.is_error and planned.structured_content["plan"], planned
            made = await client.call_tool("stacks_create", {"name": name, "idempotency_key": f"k-{mode}"})
            assert not made.is_error, made
            again = await client.call_tool("stacks_create", {"name": name, "idempotency_key": f"k-{mode}"})
            stack = made.structured_content["id"]
            assert again.structured_content["id"] == stack
            assert json.loads(made.content[0].text) == made.structured_content
            listed = await client.call_tool("stacks_list", {"search": name, "limit": 5})
            assert [one["id"] for one in listed.structured_content["items"]] == [stack]
            read = await client.call_tool("stacks_read", {"id": stack})
            revision = read.structured_content["revision"]
            changed = await client.call_tool(
                "stacks_update", {"id": stack, "poll_interval": "5s", "if_match": str(revision)})
            assert not changed.is_error, changed
            stale = await client.call_tool(
                "stacks_update", {"id": stack, "poll_interval": "6s", "if_match": str(revision)})
            assert stale.is_error and stale.structured_content["code"] == "stale", stale
            gone = await client.call_tool("stacks_delete", {"id": stack})
            assert not gone.is_error, gone
            return stack

        stack = speaking(hub, body, mode)
        entries = hub.ok("GET", f"/audit-logs?resource={stack}&limit=50")["items"]
        actions = [entry["action"] for entry in entries if entry["outcome"] == "ok"]
        assert sorted(actions) == ["create", "delete", "update"], actions


def errors_are_results(hub):
    """what a tool refuses is a result with the code and the fields of the problem"""

    async def body(client):
        bad = await client.call_tool("stacks_create", {"name": "Not A Name"})
        assert bad.is_error and bad.structured_content["code"] == "invalid", bad
        assert "name" in bad.structured_content["fields"], bad
        unknown = await client.call_tool("stacks_create", {"nmae": "x", "name": "fine"})
        assert unknown.is_error and "nmae" in unknown.structured_content["fields"], unknown
        missing = await client.call_tool("stacks_read", {"id": "nothing"})
        assert missing.is_error and missing.structured_content["code"] == "not_found", missing
        for name, arguments in (("no_such_tool", {}),):
            try:
                await client.call_tool(name, arguments)
                raise AssertionError(f"{name} was called")
            except MCPError as error:
                assert error.error.code == -32602, error

    speaking(hub, body)


def scopes_hold(hub):
    """a key sees and calls only what its scopes allow"""
    reader = hub.ok("POST", "/api-keys", {"name": "reader", "scopes": ["stacks:read"], "brands": ["*"]})["key"]

    async def body(client):
        tools, _ = await all_tools(client)
        assert tools and all(name.startswith("stacks_") for name in tools), sorted(tools)
        assert all(tool.annotations.read_only_hint for tool in tools.values()), sorted(tools)
        assert not (await client.call_tool("stacks_list", {})).is_error
        try:
            await client.call_tool("stacks_create", {"name": "forbidden"})
            raise AssertionError("a reader made a stack")
        except MCPError as error:
            assert error.error.code == -32602, error

    for mode in MODES:
        speaking(hub, body, mode, reader)
    brand = hub.ok("POST", "/brands", {
        "name": "One", "base_hostname": "one.example", "primary_ns": "ns1.one.example",
        "secondary_ns": "ns2.one.example", "hostmaster_email": "dns@one.example"})["id"]
    branded = hub.ok("POST", "/api-keys", {"name": "branded", "scopes": ["*:*"], "brands": [brand]})["key"]

    async def platform(client):
        tools, _ = await all_tools(client)
        assert not any(name.startswith(("api_keys", "nodes", "users")) for name in tools), sorted(tools)

    speaking(hub, platform, key=branded)


def handshake(hub):
    """sessions: begun, needed, bound to their key, pinged, ended"""
    status, headers, text = raw(hub, INITIALIZE)
    assert status == 200 and json.loads(text)["result"]["protocolVersion"] == "2025-11-25", text
    session = {"Mcp-Session-Id": headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
    ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
    assert raw(hub, {"jsonrpc": "2.0", "method": "notifications/initialized"}, session)[0] == 202
    status, _, text = raw(hub, ping, session)
    assert status == 200 and json.loads(text) == {"jsonrpc": "2.0", "id": "p", "result": {}}, text
    assert raw(hub, ping)[0] == 400
    assert raw(hub, ping, {"Mcp-Session-Id": "0" * 64})[0] == 404
    assert raw(hub, ping, {**session, "MCP-Protocol-Version": "1999-01-01"})[0] == 400
    other = hub.ok("POST", "/api-keys", {"name": "other", "scopes": ["*:*"], "brands": ["*"]})["key"]
    assert raw(hub, ping, {**session, "Authorization": f"Bearer {other}"}, key=False)[0] == 404
    assert raw(hub, None, session, method="GET")[0] == 405
    older = {**INITIALIZE, "params": {**INITIALIZE["params"], "protocolVersion": "2025-06-18"}}
    assert json.loads(raw(hub, older)[2])["result"]["protocolVersion"] == "2025-06-18"
    newer = {**INITIALIZE, "params": {**INITIALIZE["params"], "protocolVersion": "2099-01-01"}}
    assert json.loads(raw(hub, newer)[2])["result"]["protocolVersion"] == "2025-11-25"
    hub.stop()
    hub.start()
    assert raw(hub, ping, session)[0] == 200, "a session that did not outlive a restart of the hub"
    assert raw(hub, None, session, method="DELETE")[0] == 204
    assert raw(hub, ping, session)[0] == 404


def hostile(hub):
    """no key, other sites, broken and huge messages are refused"""
    assert raw(hub, INITIALIZE, key=False)[0] == 401
    assert raw(hub, INITIALIZE, {"Authorization": "Bearer roost_x_" + "0" * 32}, key=False)[0] == 401
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{hub.port + 1}"):
        assert raw(hub, INITIALIZE, {"Origin": origin})[0] == 403, origin
    assert raw(hub, INITIALIZE, {"Origin": hub.url})[0] == 200
    assert raw(hub, INITIALIZE, {"Accept": "text/event-stream"})[0] == 400
    assert raw(hub, b"x" * 1_100_000)[0] == 413
    for message, code in (
        (b"{", -32700), ([INITIALIZE], -32600), ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": {}, "method": "ping"}, -32600), ({"jsonrpc": "2.0", "id": 1}, -32600),
    ):
        status, _, text = raw(hub, message)
        assert status == 400 and json.loads(text)["error"]["code"] == code, (message, status, text)
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "stacks_list", "arguments": {}, "_meta": meta},
    }
    good = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "stacks_list"}
    assert raw(hub, call, good)[0] == 200
    for wrong in ({"Mcp-Name": "stacks_delete"}, {"Mcp-Method": "tools/list"}, {"MCP-Protocol-Version": "2025-11-25"}):
        status, _, text = raw(hub, call, {**good, **wrong})
        assert status == 400 and json.loads(text)["error"]["code"] == -32020, (wrong, text)
    future = json.loads(json.dumps(call).replace("2026-07-28", "2099-01-01"))
    status, _, text = raw(hub, future, {**good, "MCP-Protocol-Version": "2099-01-01"})
    assert status == 400 and json.loads(text)["error"]["code"] == -32022, text
    for arguments in ({"id": "../../x"}, {"id": "a\u0000b"}, {"id": "%2e%2e"}, {"id": ["x"]}, {"id": "x" * 9000}):
        params = {"name": "stacks_read", "arguments": arguments, "_meta": meta}
        status, _, text = raw(hub, {**call, "params": params}, {**good, "Mcp-Name": "stacks_read"})
        assert status == 200 and json.loads(text)["result"]["isError"] is True, (arguments, text)


if __name__ == "__main__":
    with RealHub() as real:
        run([tools_are_the_api, life_of_a_resource, errors_are_results, scopes_hold, handshake, hostile], real)
