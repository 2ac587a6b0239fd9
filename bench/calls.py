"""Runs batchstep against a sandbox through a recorder, and checks each call against the SDK's own request models.

    calls.py anthropic|openai ORIGIN BATCHSTEP

Bodies are validated strictly: members that are required must be there, and none may be there that the SDK does not
know. Methods and paths must be ones that the SDK calls.
"""

import email.parser
import email.policy
import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import typing

import pydantic
import pydantic_core

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
seen = {}


class Recorder(http.server.BaseHTTPRequestHandler):
    """Passes calls on, and keeps them."""

    protocol_version = "HTTP/1.1"
    calls = []
    origin = ""

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.calls.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        there = http.client.HTTPConnection(self.origin.split("//")[1])
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        there.request(self.command, self.path, body or None, headers)
        answer = there.getresponse()
        content = answer.read().replace(self.origin.encode(), f"http://{self.headers['host']}".encode())
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = pass_on

    def log_message(self, *_):
        pass


def forbids(model):
    """Takes a body for this request model; a member that it does not name is an error."""
    adapter = pydantic.TypeAdapter(model)

    def check(body):
        adapter.validate_python(body)
        unknown = set(body) - set(typing.get_type_hints(model))
        assert not unknown, f"{model.__name__} does not know {unknown}"
        seen[model.__name__] = seen.get(model.__name__, 0) + 1

    return check


def refuses(check, body):
    """The check must be able to fail."""
    try:
        check(body)
    except (AssertionError, pydantic_core.ValidationError):
        return
    raise AssertionError(f"{body} was accepted")


def run(batchstep, origin, lines, arguments):
    """Two runs through the recorder: one to its end, and one that its deadline cancels."""
    Recorder.origin = origin
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/v1"
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/requests.jsonl", "w") as requests:
            requests.writelines(json.dumps(line) + "\n" for line in lines)
        for more, expected in ([], 0), (["--timeout", "300ms", "--reuse", "never"], 6):
            command = [batchstep, "run", "requests.jsonl", "--base-url", base, "--poll-interval", "100ms", *arguments]
            ended = subprocess.run([*command, *more], cwd=work, env={"PATH": os.environ["PATH"]}, capture_output=True)
            assert ended.returncode == expected, ended.stderr.decode()
        results = open(f"{work}/batch-results/results.jsonl").read().splitlines()
        assert [json.loads(line)["custom_id"] for line in results] == [line["custom_id"] for line in lines]
    server.shutdown()
    return Recorder.calls


def known(method, path, routes):
    """The name of the SDK's call with this method and path."""
    for name, (verb, pattern) in routes.items():
        if verb == method and re.fullmatch(pattern, path.split("?")[0]):
            return name
    raise AssertionError(f"the SDK does not call {method} {path}")


IDS = ["plain-1", "with space/and é", "x" * 80, "_hidden"]


def anthropic(origin, batchstep):
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from anthropic.types.messages.batch_create_params import BatchCreateParams, Request

    turns = [{"role": "user", "content": "Who?"}]
    lines = [{"custom_id": id, "params": {"model": "claude", "max_tokens": 9, "messages": turns}} for id in IDS]
    whole, request, params = map(forbids, (BatchCreateParams, Request, MessageCreateParamsNonStreaming))
    refuses(whole, {"requests": [], "metadata": {}})
    refuses(request, {"id": "a", "params": {}})
    batches = "/v1/messages/batches"
    routes = {
        "create": ("POST", batches),
        "list": ("GET", batches),
        "retrieve": ("GET", f"{batches}/[^/]+"),
        "cancel": ("POST", f"{batches}/[^/]+/cancel"),
        "results": ("GET", f"{batches}/[^/]+/results"),
    }
    calls = run(batchstep, origin, lines, ["--provider", "anthropic", "--api-key", "sk-sandbox"])
    for method, path, headers, body in calls:
        name = known(method, path, routes)
        seen[name] = seen.get(name, 0) + 1
        assert headers["x-api-key"] == "sk-sandbox" and headers["anthropic-version"] == "2026-10-21", headers
        assert bool(body) == (name == "create"), f"{name} has a body"
        if body:
            assert headers["content-type"] == "application/json" and "transfer-encoding" not in headers, headers
            sent = json.loads(body)
            whole(sent)
            for one in sent["requests"]:
                assert re.fullmatch("[A-Za-z0-9_-]{1,64}", one["custom_id"]), one
                request(one)
                params(one["params"])
    assert set(routes) <= set(seen), seen


def openai(origin, batchstep):
    from openai.types.batch_create_params import BatchCreateParams
    from openai.types import FilePurpose
    from openai.types.file_create_params import ExpiresAfter, FileCreateParams

    body = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Who?"}]}
    line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
    lines = [{"custom_id": id, **line} for id in IDS]
    create, expiry = map(forbids, (BatchCreateParams, ExpiresAfter))
    refuses(create, {"endpoint": "/v1/chat/completions", "input_file_id": "f", "completion_window": "24h", "x": 1})
    routes = {
        "upload": ("POST", "/v1/files"),
        "file": ("GET", "/v1/files/[^/]+"),
        "content": ("GET", "/v1/files/[^/]+/content"),
        "create": ("POST", "/v1/batches"),
        "list": ("GET", "/v1/batches"),
        "retrieve": ("GET", "/v1/batches/[^/]+"),
        "cancel": ("POST", "/v1/batches/[^/]+/cancel"),
    }
    more = ["--metadata", "suite=nightly", "--expires-after", "2d", "--output-expires-after", "2d"]
    calls = run(batchstep, origin, lines, ["--provider", "openai", "--api-key", "sk-sandbox", *more])
    for method, path, headers, body in calls:
        name = known(method, path, routes)
        seen[name] = seen.get(name, 0) + 1
        assert headers["authorization"] == "Bearer sk-sandbox", headers
        if name == "create":
            create(json.loads(body))
        elif name == "upload":
            # Its model cannot be a schema: a file has a type of Python's own.
            sent = form(headers["content-type"], body)
            assert set(sent) <= set(typing.get_type_hints(FileCreateParams)) and sent["file"], sent
            pydantic.TypeAdapter(FilePurpose).validate_python(sent["purpose"], strict=True)
            expiry(sent["expires_after"])
        else:
            assert not body, f"{name} has a body"
    assert set(routes) - {"file"} <= set(seen), seen


def form(content_type, body):
    """The fields of a form, as the SDK is given them."""
    whole = f"content-type: {content_type}\r\n\r\n".encode() + body
    fields = {}
    for part in email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(whole).iter_parts():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        outer, _, inner = name.partition("[")
        if inner:
            text = content.decode()
            member = int(text) if text.isdigit() else text
            fields.setdefault(outer, {})[inner.rstrip("]")] = member
        else:
            fields[name] = content if name == "file" else content.decode()
    return fields


if __name__ == "__main__":
    vendor, origin, batchstep = sys.argv[1:]
    {"anthropic": anthropic, "openai": openai}[vendor](origin, os.path.abspath(batchstep))
    told = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
    print(f"calls     {vendor}: its request models took {told}")
