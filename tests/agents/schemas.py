"""Holds the pages' pipelines and the pieces against published schemas, and the Buildkite plugin's configuration against
the inputs that batchstep has. Arguments: the binary, and a directory to work in."""

import pathlib
import re
import subprocess
import sys

import jsonschema
import pages

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
# Each page, which of the vendored schemas of check-jsonschema its pipelines follow, how many it has, and a key that the
# schema misses if it is misspelt: a schema that takes anything proves nothing.
PIPELINES = [("buildkite.md", "buildkite", 2, "steps"), ("bitbucket.md", "bitbucket-pipelines", 2, "pipe"),
             ("woodpecker.md", "woodpecker-ci", 2, "image"), ("woodpecker.md", "drone-ci", 1, "image")]
SECRETS = {"api-key", "headers", "github-token", "gitlab-token"}


def check(schema, path):
    command = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def pipelines():
    for page, schema, count, key in PIPELINES:
        drones = [block for block in pages.blocks(page, "yaml") if "kind: pipeline" in block]
        blocks = drones if schema == "drone-ci" else [block for block in pages.blocks(page, "yaml") if block not in drones]
        assert len(blocks) == count, f"{page} has {len(blocks)} pipelines"
        for number, block in enumerate(blocks):
            file = WORK / f"{schema}-{number}.yml"
            file.write_text(block)
            result = check(schema, file)
            assert result.returncode == 0, f"{page}: {result.stdout}{result.stderr}"
            file.write_text(re.sub(rf"\b{key}:", f"{key}x:", block))
            assert check(schema, file).returncode != 0, f"{schema} takes anything"
        print(f"schemas: {count} pipelines of {page} keep to {schema}")
    readme = (pages.TREE / "ci/woodpecker/README.md").read_text()
    head, body = re.match(r"---\n(.*?)---\n(.*)", readme, re.S).groups()
    assert set(pages.parse(head)) >= {"name", "description", "author", "tags", "containerImage", "containerImageUrl", "url"}
    (block,) = re.findall(r"```yaml\n(.*?)```", body, re.S)
    (WORK / "readme.yml").write_text(block)
    assert check("woodpecker-ci", WORK / "readme.yml").returncode == 0


def inputs():
    """What run, submit and collect take, as their help says it."""
    found = {"requests", "batch-id"}
    for command in ("run", "submit", "collect"):
        text = subprocess.run([BINARY, command, "--help"], capture_output=True, text=True, check=True).stdout
        found |= set(re.findall(r"^ +(?:-\w, )?--([a-z][a-z-]+)", text, re.M))
    return found - {"help", "color", "json", "quiet", "verbose"}  # These are for people.


def plugin():
    plugin = pages.parse((pages.TREE / "ci/buildkite/plugin.yml").read_text())
    assert set(plugin) == {"name", "description", "author", "requirements", "configuration"}
    schema = plugin["configuration"]
    jsonschema.Draft7Validator.check_schema(schema)
    config = (pages.TREE / "ci/buildkite/lib/config.bash").read_text()
    own = set(re.findall(r'"([a-z0-9-]+)"', re.search(r'\["api-key-variable".*?\]', config, re.S)[0])) - {"batch-id"}
    missing, strange = inputs() - SECRETS - set(schema["properties"]), set(schema["properties"]) - own - inputs()
    assert not missing and not strange, f"plugin.yml lacks {sorted(missing)}; these are no inputs: {sorted(strange)}"

    def takes(configuration):
        return jsonschema.Draft7Validator(schema).is_valid(configuration)

    good = [*pages.plugin_configurations("buildkite.md"), {}, {"requests": ["a.jsonl", "b.jsonl"], "metadata": ["a=b"]},
            {"retries": 0, "max-cost": 12.5, "schema": "off", "only-failed": True, "binary": "/usr/bin/batchstep"}]
    bad = [{"api-key": "sk-1"}, {"headers": "X: 1"}, {"max_failed": 1}, {"provider": "azure"}, {"command": "cancel"}, {"requests": ""},
           {"metadata": {"a": "b"}}, {"version": "v1"}, {"version": "1.2.3; x"}, {"api-key-variable": "$X"}, {"output-dir": "a;b"},
           {"outputs-file": "batch.txt"}, {"installer-sha256": "0"}, {"upload": "yes"}, {"requests": [["a"]]}]
    assert all(map(takes, good)), [one for one in good if not takes(one)]
    assert not any(map(takes, bad)), [one for one in bad if takes(one)]
    print(f"schemas: plugin.yml has every input, takes {len(good)} configurations and refuses {len(bad)}")


def pipe():
    """A listed pipe's metadata, as Atlassian's page on writing pipes describes it; there is no schema."""
    pipe = pages.parse((pages.TREE / "ci/bitbucket/pipe.yml").read_text())
    assert set(pipe) == {"name", "image", "description", "category", "repository", "vendor", "maintainer", "tags", "variables"}
    assert re.fullmatch(r"ghcr\.io/batchstep/batchstep:\d+\.\d+\.\d+", pipe["image"])
    known = {f"BATCHSTEP_{name.upper().replace('-', '_')}" for name in inputs() | {"command"}}
    for variable in pipe["variables"]:
        assert variable["name"] in known and isinstance(variable.get("default", ""), str), variable
    used = {name for block in pages.blocks("bitbucket.md", "yaml") for name in re.findall(r"(BATCHSTEP_[A-Z_]+):", block)}
    assert used <= known, used - known
    assert {entry["name"] for entry in pipe["variables"]} <= used
    settings = {name for block in pages.blocks("woodpecker.md", "yaml")
                for document in pages.documents(block) for name in document["steps"][0]["settings"]}
    assert settings <= {name.replace("-", "_") for name in inputs()}, settings
    print("schemas: pipe.yml, and the variables and settings of the pages, name inputs")


pipelines()
plugin()
pipe()
print("4 passed, 0 failed")
