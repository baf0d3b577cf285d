"""A stand-in for a model behind a real coding client: scripted, on loopback, stateless.

A scenario is a Python file with `def turn(n, seen): ...` that returns what the model does in its n-th
turn: a text, a call `("Tool", {...})`, or a list of those. `seen` gives access to what the client has
sent back: `seen.last`, `seen.find(regex)` over all tool results (latest first), `seen.results`.
The turn is counted from the request itself, so that a client's retries are answered alike.

Speaks the Anthropic Messages API (with and without streaming) and the OpenAI chat completions API.
Usage: model.py SCENARIO LOG PORT_FILE
"""

import importlib.util
import itertools
import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

scenario_path, log_path, port_path = sys.argv[1:4]
spec = importlib.util.spec_from_file_location("scenario", scenario_path)
scenario = importlib.util.module_from_spec(spec)
sys.path.insert(0, os.path.dirname(os.path.abspath(scenario_path)))
spec.loader.exec_module(scenario)
log_lock = threading.Lock()
numbers = itertools.count(1)


def flat(content):
    """The text of a message's content."""
    if isinstance(content, str):
        return content
    parts = []
    for block in content or []:
        if block.get("type") == "tool_result":
            parts.append(flat(block.get("content")))
        elif "text" in block:
            parts.append(block["text"])
    return "\n".join(parts)


class Seen:
    """What came back from tools so far."""

    def __init__(self, messages):
        self.results = []
        for message in messages:
            if message["role"] == "tool":
                self.results.append(flat(message["content"]))
            elif message["role"] == "user" and isinstance(message["content"], list):
                self.results += [flat(b.get("content")) for b in message["content"] if b.get("type") == "tool_result"]

    @property
    def last(self):
        return self.results[-1] if self.results else ""

    def find(self, pattern):
        for text in reversed(self.results):
            hit = re.search(pattern, text)
            if hit:
                return hit.group(1) if hit.groups() else hit.group(0)
        return ""


def answer(messages, has_tools):
    """The blocks of the next turn."""
    if not has_tools:
        return [("text", "a title")]
    n = sum(m["role"] == "assistant" for m in messages)
    said = scenario.turn(n, Seen(messages))
    if isinstance(said, (str, tuple)):
        said = [said]
    return [("text", s) if isinstance(s, str) else ("call", s) for s in said]


def anthropic_blocks(blocks):
    out = []
    for kind, value in blocks:
        if kind == "text":
            out.append({"type": "text", "text": value})
        else:
            out.append({"type": "tool_use", "id": f"toolu_{next(numbers):012d}", "name": value[0], "input": value[1]})
    return out


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            text = data if isinstance(data, str) else json.dumps(data)
            self.wfile.write(f"{head}data: {text}\n\n".encode())
        self.wfile.flush()

    def do_GET(self):
        self.reply({"data": [], "has_more": False})

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            request = json.loads(raw or b"{}")
        except ValueError:
            request = {}
        tokens = max(1, len(raw) // 4)
        if self.path.split("?")[0].endswith("count_tokens"):
            return self.reply({"input_tokens": tokens})
        if "/messages" not in self.path and "/chat/completions" not in self.path:
            return self.reply({})
        blocks = answer(request.get("messages", []), bool(request.get("tools")))
        with log_lock, open(log_path, "a") as log:
            log.write(json.dumps({"path": self.path, "request": request, "answer": blocks}) + "\n")
        if "/messages" in self.path:
            self.messages(request, anthropic_blocks(blocks), tokens)
        else:
            self.completions(request, blocks, tokens)

    def messages(self, request, blocks, tokens):
        stop = "tool_use" if any(b["type"] == "tool_use" for b in blocks) else "end_turn"
        usage = {"input_tokens": tokens, "output_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        whole = {"id": f"msg_{next(numbers):08d}", "type": "message", "role": "assistant", "model": request.get("model", "scripted"),
                 "content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": usage}
        if not request.get("stream"):
            return self.reply(whole)

        def events():
            yield "message_start", {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
            for i, block in enumerate(blocks):
                if block["type"] == "text":
                    start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
                else:
                    start, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
                yield "content_block_start", {"type": "content_block_start", "index": i, "content_block": start}
                yield "content_block_delta", {"type": "content_block_delta", "index": i, "delta": delta}
                yield "content_block_stop", {"type": "content_block_stop", "index": i}
            yield "message_delta", {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 20}}
            yield "message_stop", {"type": "message_stop"}

        self.stream(events())

    def completions(self, request, blocks, tokens):
        calls = [{"index": i, "id": f"call_{next(numbers):08d}", "type": "function",
                  "function": {"name": v[0], "arguments": json.dumps(v[1])}} for i, v in enumerate(v for k, v in blocks if k == "call")]
        text = "\n".join(v for k, v in blocks if k == "text")
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 0, "model": request.get("model", "scripted")}
        usage = {"prompt_tokens": tokens, "completion_tokens": 20, "total_tokens": tokens + 20}
        delta = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
        stop = "tool_calls" if calls else "stop"
        if not request.get("stream"):
            return self.reply({**head, "object": "chat.completion", "choices": [{"index": 0, "message": delta, "finish_reason": stop}], "usage": usage})
        self.stream([
            (None, {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}),
            (None, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": stop}], "usage": usage}),
            (None, "[DONE]"),
        ])


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
with open(port_path + ".new", "w") as port:
    port.write(str(server.server_address[1]))
os.rename(port_path + ".new", port_path)
server.serve_forever()
