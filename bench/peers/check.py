"""What batchstep checks, as one would write it in Python: valid JSON, the four fields, one endpoint and model, unique ids."""

import json
import sys

ids, urls, models = set(), set(), set()
with open(sys.argv[1], "rb") as file:
    for number, line in enumerate(file, 1):
        request = json.loads(line)
        custom_id, body = request["custom_id"], request["body"]
        if not isinstance(custom_id, str) or not custom_id or custom_id in ids:
            sys.exit(f"line {number}: custom_id")
        if request["method"] != "POST" or body.get("stream") or not body["messages"]:
            sys.exit(f"line {number}: method, stream or messages")
        ids.add(custom_id)
        urls.add(request["url"])
        models.add(body["model"])
if len(urls) != 1 or len(models) != 1:
    sys.exit("more than one endpoint or model")
