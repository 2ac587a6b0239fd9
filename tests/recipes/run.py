"""Runs the recipes of docs/results.md as they are printed, one after another in one directory.

Blocks of `sh`, `python` and `sql` are run; the `text` below one is what it prints, and without one it prints nothing.
Other blocks are files: the sentence above them names them. `--write` writes the outputs instead of comparing them.

    python3 run.py DOCUMENT LEAST [--write]
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

RUN = {"sh": ["bash", "-euo", "pipefail"], "python": ["python3", "-"], "sql": ["duckdb"]}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def environment(home):
    """No variable by which batchstep, or a tool, would do something else than it does for a reader."""
    return {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "COLUMNS": "100"}


def plain(text):
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def printed_by(language, recipe, directory):
    ran = subprocess.run(RUN[language], input=recipe, cwd=directory, env=environment(directory), text=True,
                         encoding="utf-8", capture_output=True, timeout=120)
    if ran.returncode != 0:
        sys.exit(f"A recipe ended with {ran.returncode}:\n{recipe}\n{ran.stdout}\n{ran.stderr}")
    return plain(ran.stdout)


def file_named_above(page, start):
    """The last name in the paragraph that ends with a colon above this block."""
    paragraph = page[:start].rstrip().rsplit("\n\n", 1)[-1]
    names = re.findall(r"`([\w.-]+)`", paragraph)
    if not names or not paragraph.endswith(":"):
        sys.exit(f"This block has no name:\n{page[start:start + 200]}")
    return names[-1]


def main(document, least, write):
    page = document.read_text(encoding="utf-8")
    new, copied, ran, wrong, printed_at = [], 0, 0, [], None
    blocks = list(BLOCK.finditer(page))
    with tempfile.TemporaryDirectory() as directory:
        for block, following in zip(blocks, [*blocks[1:], None]):
            language, text = block.groups()
            if language not in RUN:
                if block.start() != printed_at:
                    pathlib.Path(directory, file_named_above(page, block.start())).write_text(text, encoding="utf-8")
                continue
            printed = printed_by(language, text, directory)
            ran += 1
            is_shown = following and following[1] == "text" and page[block.end():following.start()].strip() == ""
            printed_at = following.start() if is_shown else None
            if printed != (plain(following[2]) if is_shown else ""):
                wrong.append(f"{text}\nprints\n{printed}\n")
            if is_shown:
                new += [page[copied:following.start(2)], printed, "\n"]
                copied = following.end(2)
    if write:
        document.write_text("".join([*new, page[copied:]]), encoding="utf-8")
    elif wrong:
        sys.exit("\n".join(wrong))
    if ran < least:
        sys.exit(f"Only {ran} recipes were found.")
    print(f"{ran} recipes print what {document} says.")


main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), "--write" in sys.argv[3:])
