"""Parses PowerShell: the scripts that are named, and the blocks of docs/install.md. Nothing runs it here."""

import pathlib
import re
import sys

import tree_sitter
import tree_sitter_powershell

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


def faults(text):
    """Where the text does not parse: lines, from 1."""
    nodes, found = [PARSER.parse(text.encode()).root_node], []
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            found.append(node.start_point.row + 1)
        nodes.extend(node.children)
    return sorted(found)


page, *scripts = map(pathlib.Path, sys.argv[1:])
blocks = re.findall(r"^```powershell\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
texts = {str(script): script.read_text() for script in scripts} | {f"block {at + 1}": text for at, text in enumerate(blocks)}
assert scripts and len(blocks) == 3
for name, text in texts.items():
    assert not faults(text), f"{name} does not parse in lines {faults(text)}"
    # The parser has to be able to refuse.
    for more in "}", "(", "'":
        assert faults(f"{text}\n{more}\n"), f"{name} parses with {more} after it"
print(f"{len(texts)} texts in PowerShell parse: {', '.join(texts)}")
