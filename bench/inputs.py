"""Writes a file of requests: inputs.py KIND ROWS PATH

    chat   lines of 3,820 bytes: chat requests of prose, with a quote or a line break now and then
    code   lines of 3,820 bytes: the same with program text, an escape every 16 bytes or so
    short  lines of 500 bytes: chat requests of a paragraph

The same arguments write the same bytes, on every machine and version of Python 3.
"""

import json
import random
import sys

LENGTHS = {"chat": 3820, "code": 3820, "short": 500}
LETTERS = "eeeeeeettttaaaooiiinnssrrhhddllccuumwfgypbvk"


def words(rng, count):
    return ["".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 9))) for _ in range(count)]


def prose(rng):
    """A sentence. One in ten ends its paragraph, one in ten is a quotation, one in thirty is not ASCII."""
    text = " ".join(words(rng, rng.randint(6, 16))).capitalize() + "."
    if rng.random() < 0.1:
        text = f'"{text}"'
    if rng.random() < 0.03:
        text += " Größe, 日本語, naïve."
    return text + ("\n\n" if rng.random() < 0.1 else " ")


def code(rng):
    """A line of a program: half of them hold a string."""
    name, other, third = words(rng, 3)
    indent = "    " * rng.randint(0, 3)
    statement = rng.choice([f"let {name} = {other}({third});", f"{name}.{other} += {third};", f'{name}("{other}", {third})', f'if {name} == "{other}" {{'])
    return f"{indent}{statement}\n"


def escaped(text):
    return json.dumps(text, ensure_ascii=False)[1:-1]


def line(rng, pieces, number, length):
    body = {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "@"}],
        "max_tokens": 200,
    }
    request = {"custom_id": f"request-{number:07}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    head, tail = json.dumps(request, separators=(",", ":")).split("@")
    room = length - len(head) - len(tail) - 1
    content = []
    while True:
        piece, size = rng.choice(pieces)
        if size > room:
            return f"{head}{''.join(content)}{'.' * room}{tail}\n".encode()
        content.append(piece)
        room -= size


def main(kind, rows, path):
    rng = random.Random(20261123)
    texts = [escaped((code if kind == "code" else prose)(rng)) for _ in range(5000)]
    pieces = [(text, len(text.encode())) for text in texts]
    with open(path, "wb", buffering=1 << 20) as file:
        for number in range(int(rows)):
            file.write(line(rng, pieces, number, LENGTHS[kind]))


if __name__ == "__main__":
    main(*sys.argv[1:])
