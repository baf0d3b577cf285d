"""From frame to verdict through the Python `mcp` SDK, over stdio, in both eras of the protocol.

usage: client.py BINARY PROJECT FRAME.json
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters


async def call(client, tool, arguments=None):
    """Calls a tool; the envelope, once its text and its structure say the same."""
    result = await client.call_tool(tool, arguments or {})
    envelope = result.structured_content
    assert json.loads(result.content[0].text) == envelope, f"{tool}: text and structure differ"
    assert result.is_error == (not envelope["ok"]), f"{tool}: isError"
    return envelope


async def ok(client, tool, arguments=None):
    envelope = await call(client, tool, arguments)
    assert envelope["ok"], f"{tool} was not allowed: {json.dumps(envelope)}"
    return envelope


async def wait(client):
    while True:
        answer = await ok(client, "score_wait", {"timeout_s": 20})
        if answer["data"]["complete"]:
            return answer


async def main(binary, project, frame):
    server = StdioServerParameters(command=binary, args=["serve", "--project", project], env=None)
    with open(frame, encoding="utf-8") as file:
        frame = json.load(file)

    # A draft in the era of handshakes; what follows in whatever era the SDK finds best.
    async with Client(server, mode="legacy") as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert {"frame", "lock_frame", "open_test", "verdict"} <= set(names), names
        old = client.protocol_version
        drafted = await ok(client, "frame", {"frame": frame})
    async with Client(server) as client:
        new = client.protocol_version
        print(f"protocol: {old}, then {new}", file=sys.stderr)
        await ok(
            client,
            "lock_frame",
            {"frame_hash": drafted["data"]["frame_hash"], "confirmation": "Yes, these arms and this rule."},
        )
        await ok(client, "source_rows")
        pilot = await ok(client, "pilot")
        assert pilot["data"]["passed"], json.dumps(pilot)
        early = await call(client, "open_test")
        assert [g["id"] for g in early["refusal"]["guards"]] == ["lock-latest"], json.dumps(early)
        await ok(client, "score_start")
        await wait(client)
        await ok(client, "diagnose")
        await ok(client, "lock_arms")
        await ok(client, "open_test")
        await wait(client)
        print(json.dumps(await ok(client, "verdict")))


asyncio.run(main(*sys.argv[1:]))
