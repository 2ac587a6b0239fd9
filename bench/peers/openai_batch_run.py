"""A batch with openai-batch, as its command line does it but for two things: that sends a file under the name
`upload`, which the API refuses since it does not end in .jsonl, and polls once a minute."""

import os
import sys
import time

from openai_batch import Batch
from openai_batch.providers import Provider

provider = Provider(base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])
with open(sys.argv[1], "rb") as file:
    with Batch(submission_input_file=file, output_file=sys.argv[2], provider=provider) as batch:
        batch.submit()
        while batch.status().status not in ("completed", "failed", "expired", "cancelled"):
            time.sleep(0.05)
        batch.download()
