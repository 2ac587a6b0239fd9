"""A batch with the official SDK: upload, create, wait, download, and the answers in the order of the requests."""

import json
import sys
import time

import openai

requests, results = sys.argv[1:]
client = openai.OpenAI(max_retries=0)
with open(requests, "rb") as file:
    uploaded = client.files.create(file=file, purpose="batch")
batch = client.batches.create(
    input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
)
while batch.status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(0.05)
    batch = client.batches.retrieve(batch.id)
answers = {}
for line in client.files.content(batch.output_file_id).content.split(b"\n"):
    if line:
        answers[json.loads(line)["custom_id"]] = line
with open(requests, "rb") as file, open(results, "wb") as merged:
    for line in file:
        merged.write(answers[json.loads(line)["custom_id"]] + b"\n")
