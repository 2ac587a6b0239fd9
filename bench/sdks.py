"""Drives a sandbox with a vendor's official SDK, and checks everything it answers against the SDK's types.

    sdks.py anthropic|openai ORIGIN

Each body is validated strictly: members that are required must be there, types are not converted, words must be
among those that are known, and nothing may be there that the type does not name.
"""

import json
import sys
import time

import pydantic

seen = {}


def strict(model, content):
    """Reads a body as this type, there and back."""
    read = pydantic.TypeAdapter(model).validate_json(content, strict=True)
    extra(read, model.__name__ if hasattr(model, "__name__") else str(model))
    kept = pydantic.TypeAdapter(model).dump_json(read, by_alias=True, exclude_unset=True)
    assert pydantic.TypeAdapter(model).validate_json(kept, strict=True) == read, content
    assert shape(json.loads(kept)) == shape(json.loads(content)), f"{kept} is not {content}"
    name = type(read).__name__
    seen[name] = seen.get(name, 0) + 1
    return read


def extra(value, path):
    """Fails on a member that no type names."""
    if isinstance(value, pydantic.BaseModel):
        assert not value.model_extra, f"{path} has {value.model_extra}"
        for name in value.model_fields_set:
            extra(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            extra(item, path)


def shape(value):
    """JSON without its texts, since a time can be written in several ways."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "" if isinstance(value, str) else value


def wait(look, is_over):
    while not is_over(found := look()):
        time.sleep(0.05)
    return found


def anthropic(origin):
    import anthropic as sdk
    from anthropic.types import ErrorResponse
    from anthropic.types import messages as types

    client = sdk.Anthropic(base_url=origin, api_key="sk-sandbox", max_retries=0)
    batches, raw = client.messages.batches, client.messages.batches.with_raw_response

    def request(number, **params):
        turns = [{"role": "user", "content": f"What is {number}?"}]
        params = {"model": "claude", "max_tokens": 99, "messages": turns, **params}
        return {"custom_id": f"r-{number}", "params": params}

    def create(requests):
        return strict(types.MessageBatch, raw.create(requests=requests).http_response.content)

    def ended(batch):
        def look():
            return strict(types.MessageBatch, raw.retrieve(batch.id).http_response.content)

        return wait(look, lambda found: found.processing_status == "ended")

    def results(batch):
        lines = client.get(batch.results_url, cast_to=str).splitlines()
        rows = [strict(types.MessageBatchIndividualResponse, line.encode()) for line in lines]
        assert [row.custom_id for row in batches.results(batch.id)] == [row.custom_id for row in rows]
        return {row.custom_id: row.result for row in rows}

    try:
        raw.create(requests=[request(0)])
        raise AssertionError("the fault did not strike")
    except sdk.APIStatusError as error:
        assert (error.status_code, error.request_id is not None) == (529, True), error
        strict(ErrorResponse, error.response.content)

    cached = [{"type": "text", "text": "Be short. " * 500, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
    requests = [request(number, system=cached) for number in range(20)]
    requests += [request(20, max_tokens=2), request(21, tools=[tool]), request(22, stream=True)]
    first = ended(create(requests))
    found = results(first)
    assert len(found) == 23 and found["r-22"].error.error.type == "invalid_request_error", found
    assert found["r-20"].message.stop_reason == "max_tokens"
    usages = [found[f"r-{number}"].message.usage for number in range(20)]
    assert {usage.input_tokens < 20 for usage in usages} == {True}
    assert {(usage.cache_read_input_tokens > 1000) for usage in usages} == {True, False}

    second = create([request(number) for number in range(20)])
    time.sleep(0.5)
    cancelled = strict(types.MessageBatch, raw.cancel(second.id).http_response.content)
    assert cancelled.processing_status == "canceling", cancelled
    assert {result.type for result in results(ended(second)).values()} <= {"succeeded", "canceled"}
    third = ended(create([request(number) for number in range(20)]))
    assert {result.type for result in results(third).values()} == {"succeeded", "expired"}
    fourth = ended(create([request(number) for number in range(40)]))
    assert {result.type for result in results(fourth).values()} == {"succeeded", "errored"}

    ids = [batch.id for batch in (fourth, third, second, first)]
    for batch in json.loads(raw.list().http_response.content)["data"]:
        strict(types.MessageBatch, json.dumps(batch))
    assert [batch.id for batch in batches.list(limit=1)] == ids
    assert [batch.id for batch in batches.list(limit=3, before_id=first.id).data] == ids[:3]
    strict(types.DeletedMessageBatch, raw.delete(first.id).http_response.content)
    assert [batch.id for batch in batches.list(limit=2)] == ids[:3]


def openai(origin):
    import openai as sdk
    from openai import types

    client = sdk.OpenAI(base_url=f"{origin}/v1", api_key="sk-sandbox", max_retries=0)
    files, batches = client.files.with_raw_response, client.batches.with_raw_response
    endpoint = "/v1/chat/completions"

    def create(count):
        turns = [{"role": "user", "content": "Who?"}]
        body = {"model": "gpt-4.1-mini", "messages": turns}
        line = {"method": "POST", "url": endpoint, "body": body}
        lines = "".join(json.dumps({"custom_id": f"r{number}", **line}) + "\n" for number in range(count))
        uploaded = files.create(file=("a.jsonl", lines.encode()), purpose="batch")
        uploaded = strict(types.FileObject, uploaded.content)
        made = batches.create(
            input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h", metadata={"a": "b"}
        )
        return strict(types.Batch, made.content)

    def ended(batch):
        def look():
            return strict(types.Batch, batches.retrieve(batch.id).content)

        return wait(look, lambda found: found.status in ("completed", "failed", "expired", "cancelled"))

    def results(batch):
        named = [file for file in (batch.output_file_id, batch.error_file_id) if file]
        lines = [json.loads(line) for file in named for line in client.files.content(file).text.splitlines()]
        for answered in (line["response"] for line in lines if line["response"]):
            if answered["status_code"] == 200:
                strict(types.chat.ChatCompletion, json.dumps(answered["body"]))
        return [(line["error"] or {}).get("code") or line["response"]["status_code"] for line in lines]

    try:
        batches.list()
        raise AssertionError("the fault did not strike")
    except sdk.RateLimitError as error:
        assert error.code == "rate_limit_exceeded" and error.request_id is not None, error

    first = ended(create(20))
    assert first.status == "completed" and results(first) == [200] * 20, first
    second = create(20)
    time.sleep(0.5)
    assert strict(types.Batch, batches.cancel(second.id).content).status == "cancelling"
    assert set(results(ended(second))) <= {200, "batch_cancelled"}
    third = ended(create(20))
    assert third.status == "expired" and set(results(third)) == {200, "batch_expired"}, third
    fourth = ended(create(40))
    assert fourth.status == "completed" and set(results(fourth)) == {200, 529}, fourth

    ids = [batch.id for batch in (fourth, third, second, first)]
    for batch in json.loads(batches.list().content)["data"]:
        strict(types.Batch, json.dumps(batch))
    assert [batch.id for batch in client.batches.list(limit=1)] == ids
    for file in json.loads(files.list().content)["data"]:
        strict(types.FileObject, json.dumps(file))
    strict(types.FileDeleted, files.delete(first.input_file_id).content)


if __name__ == "__main__":
    vendor, origin = sys.argv[1:]
    {"anthropic": anthropic, "openai": openai}[vendor](origin)
    told = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
    print(f"sdk       {vendor}: its types took {told}")
