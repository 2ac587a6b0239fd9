"""Reads the examples out of the pages in docs/ci: what is tested is what the pages show."""

import io
import json
import pathlib
import re
import sys

from ruamel.yaml import YAML

TREE = pathlib.Path(__file__).parents[2]


def blocks(page, language):
    """The texts of a page's code blocks in a language."""
    text = (TREE / "docs/ci" / page).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    assert found, f"{page} has no block of {language}"
    return found


def parse(text):
    """YAML as plain dictionaries and lists."""
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(io.StringIO(text))))


def documents(text):
    """The documents of a YAML stream."""
    return list(YAML(typ="safe", pure=True).load_all(io.StringIO(text)))


def plugin_configurations(page):
    """The configurations of the plugin in Buildkite pipelines, each with the exit status that is retried."""
    for block in blocks(page, "yaml"):
        for step in parse(block)["steps"]:
            for plugin in step.get("plugins", []) if isinstance(step, dict) else []:
                for location, configuration in plugin.items():
                    assert re.search(r"/batchstep/ci/buildkite#v\d+\.\d+\.\d+$", location), location
                    yield configuration


if __name__ == "__main__":
    for configuration in plugin_configurations(sys.argv[1]):
        print(json.dumps(configuration))
