"""Runs batchstep against a sandbox through a recorder, and checks each call against the SDK's.

    calls.py anthropic|openai ORIGIN BATCHSTEP

The SDK itself calls through the same recorder first. Each call of batchstep's must have a method, a path, parameters
and headers that the SDK's calls have. Its body is validated strictly against the SDK's request models, at every depth:
types are not converted, and nothing may be there that the models do not name.
"""

import contextlib
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
import time
import typing
import urllib.parse

import pydantic
import typing_extensions

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
seen = {}


class Recorder(http.server.BaseHTTPRequestHandler):
    """Passes calls on, and keeps them."""

    protocol_version = "HTTP/1.1"

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


@contextlib.contextmanager
def recorder(origin):
    """A recorder in front of this origin: its own origin, and what it records."""
    kept = type("Kept", (Recorder,), {"calls": [], "origin": origin})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kept)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kept.calls
    server.shutdown()
    server.server_close()


def strict(model):
    """Takes a body for this request model. At every depth, a member that no model names is an error."""
    config = pydantic.ConfigDict(extra="forbid", strict=True)
    # In a list, since a model itself takes no configuration from outside.
    adapter = pydantic.TypeAdapter(typing.List[model], config=config)

    def check(body):
        exhaust(adapter.validate_python([body]))
        seen[model.__name__] = seen.get(model.__name__, 0) + 1

    return check


def exhaust(value):
    """Reads a validated value to its end: pydantic validates the items of an `Iterable` as they are read."""
    if isinstance(value, dict):
        value = value.values()
    if not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        for item in value:
            exhaust(item)


def refuses(check, body, *path, **wrong):
    """The check must fail once these members are in the part of the body that this path leads to."""
    check(body)
    copy = json.loads(json.dumps(body))
    part = copy
    for step in path:
        part = part[step]
    part.update(wrong)
    try:
        check(copy)
    except pydantic.ValidationError:
        return
    raise AssertionError(f"{copy} was accepted")


def run(batchstep, origin, lines, arguments):
    """What batchstep calls in a run to its end, in one that its deadline cancels, and in a list from a batch on."""
    with recorder(origin) as (base, calls), tempfile.TemporaryDirectory() as work:

        def step(arguments, expected):
            command = [batchstep, *arguments, "--base-url", f"{base}/v1", "--api-key", "sk-sandbox"]
            ended = subprocess.run(command, cwd=work, env={"PATH": os.environ["PATH"]}, capture_output=True)
            assert ended.returncode == expected, ended.stderr.decode()
            return ended.stdout

        with open(f"{work}/requests.jsonl", "w") as requests:
            requests.writelines(json.dumps(line) + "\n" for line in lines)
        whole = ["run", "requests.jsonl", "--poll-interval", "100ms", *arguments]
        step(whole, 0)
        with open(f"{work}/batch-results/results.jsonl") as results:
            assert [json.loads(line)["custom_id"] for line in results] == [line["custom_id"] for line in lines]
        step([*whole, "--timeout", "1s", "--reuse", "never"], 6)
        provider = arguments[:2]
        newest = json.loads(step(["batch", "list", *provider], 0))["data"][0]["id"]
        step(["batch", "list", *provider, "--limit", "1", "--after", newest], 0)
    return calls


def route(method, path):
    """What a call is, without the id in its path; the names of its parameters."""
    parts = urllib.parse.urlsplit(path)
    query = {name for name, _ in urllib.parse.parse_qsl(parts.query, keep_blank_values=True)}
    return (method, re.sub("/(batches|files)/[^/]+", r"/\1/ID", parts.path)), query


def matched(calls, sdk_calls, unused=()):
    """Yields each call's action, headers and body, once it is one that the SDK makes too."""
    known = {}
    for method, path, headers, _ in sdk_calls:
        key, query = route(method, path)
        known.setdefault(key, (set(), headers))[0].update(query)
    made = set()
    for method, path, headers, body in calls:
        key, query = route(method, path)
        assert key in known, f"the SDK does not call {method} {path}"
        parameters, theirs = known[key]
        assert query <= parameters, f"the SDK sends {parameters} with {key}, not {query}"
        keys = [headers[name] for name in ("authorization", "x-api-key") if name in headers]
        assert keys in (["Bearer sk-sandbox"], ["sk-sandbox"]), headers
        assert headers.get("anthropic-version") == theirs.get("anthropic-version"), headers
        sized = int(theirs.get("content-length", 0)) > 0
        assert bool(body) == sized, f"{key} has a body, or lacks one"
        if body:
            assert media(headers) == media(theirs), headers
            assert headers["content-length"] == str(len(body)) and "transfer-encoding" not in headers, headers
        made.add(key)
        name = " ".join(key)
        seen[name] = seen.get(name, 0) + 1
        yield name, headers, body
    missing = {key for key in known if " ".join(key) not in unused} - made
    assert not missing, f"batchstep did not call {missing}"


def media(headers):
    return headers["content-type"].partition(";")[0]


def until(is_true):
    while not is_true():
        time.sleep(0.1)


# Anthropic takes letters, digits, hyphens and underscores, 64 at most.
IDS = ["plain-1", "with space/and é", "x" * 80, "_hidden"]


def anthropic(origin, batchstep):
    import anthropic as sdk
    from anthropic.types.messages.batch_create_params import BatchCreateParams

    params = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "Who?"}]}
    create = strict(BatchCreateParams)
    example = {"requests": [{"custom_id": "a", "params": params}]}
    refuses(create, example, metadata={})
    refuses(create, example, "requests", 0, method="POST")
    refuses(create, example, "requests", 0, "params", endpoint="/v1/messages")
    refuses(create, example, "requests", 0, "params", max_tokens="9")
    refuses(create, example, "requests", 0, "params", "messages", 0, name="a")
    seen.clear()

    with recorder(origin) as (base, sdk_calls):
        batches = sdk.Anthropic(base_url=base, api_key="sk-sandbox", max_retries=0).messages.batches
        batch = batches.create(**example)
        batches.list(limit=1, after_id=batch.id)
        batches.cancel(batch.id)
        until(lambda: batches.retrieve(batch.id).processing_status == "ended")
        list(batches.results(batch.id))
    lines = [{"custom_id": id, "params": params} for id in IDS]
    calls = run(batchstep, origin, lines, ["--provider", "anthropic"])
    for _, _, body in matched(calls, sdk_calls):
        if body:
            sent = json.loads(body)
            create(sent)
            assert len(sent["requests"]) == len(IDS)
            assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", one["custom_id"]) for one in sent["requests"]), sent


def openai(origin, batchstep):
    import openai as sdk
    from openai.types.batch_create_params import BatchCreateParams
    from openai.types.file_create_params import FileCreateParams

    endpoint = "/v1/chat/completions"
    line = {"method": "POST", "url": endpoint}
    line["body"] = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Who?"}]}
    lines = [{"custom_id": id, **line} for id in IDS]
    # The SDK takes a file in many of Python's types, of which pydantic knows only some; in a form it is text.
    fields = {**typing_extensions.get_type_hints(FileCreateParams, include_extras=True), "file": str}
    create = strict(BatchCreateParams)
    upload = strict(typing_extensions.TypedDict("FileCreateParams", fields, total=False))
    expiry = {"anchor": "created_at", "seconds": 172800}
    batch = {"endpoint": endpoint, "completion_window": "24h", "metadata": {"suite": "nightly"}}
    batch = {**batch, "input_file_id": "file-1", "output_expires_after": expiry}
    refuses(create, batch, name="a")
    refuses(create, batch, endpoint="/v1/unknown")
    refuses(create, batch, "metadata", suite=1)
    refuses(create, batch, "output_expires_after", minutes=1)
    refuses(upload, {"file": "", "purpose": "batch", "expires_after": expiry}, name="a")
    refuses(upload, {"file": "", "purpose": "batch", "expires_after": expiry}, "expires_after", minutes=1)
    seen.clear()

    with recorder(origin) as (base, sdk_calls):
        client = sdk.OpenAI(base_url=f"{base}/v1", api_key="sk-sandbox", max_retries=0)
        requests = "".join(json.dumps(one) + "\n" for one in lines).encode()
        file = client.files.create(file=("a.jsonl", requests), purpose="batch", expires_after=expiry)
        client.files.retrieve(file.id)
        client.files.content(file.id).read()
        made = client.batches.create(**{**batch, "input_file_id": file.id})
        client.batches.list(limit=1, after=made.id)
        client.batches.retrieve(made.id)
        client.batches.cancel(made.id)
    more = ["--metadata", "suite=nightly", "--expires-after", "2d", "--output-expires-after", "2d"]
    calls = run(batchstep, origin, lines, ["--provider", "openai", *more])
    for name, headers, body in matched(calls, sdk_calls, unused={"GET /v1/files/ID"}):
        if name == "POST /v1/batches":
            sent = json.loads(body)
            create(sent)
            assert sent["metadata"]["suite"] == "nightly" and sent["output_expires_after"] == expiry, sent
        elif body:
            sent = form(headers["content-type"], body)
            upload(sent)
            assert sent["purpose"] == "batch" and sent["expires_after"] == expiry, sent
            assert [json.loads(one)["custom_id"] for one in sent["file"].splitlines()] == IDS, sent


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
            fields[name] = content.decode()
    return fields


if __name__ == "__main__":
    vendor, origin, batchstep = sys.argv[1:]
    {"anthropic": anthropic, "openai": openai}[vendor](origin, os.path.abspath(batchstep))
    told = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
    print(f"calls     {vendor}: the SDK makes the same calls: {told}")
