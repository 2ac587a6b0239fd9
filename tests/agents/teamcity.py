"""Runs the scripts of docs/ci/teamcity.md and of the recipe in ci/teamcity as TeamCity does: a file that the system
executes, with parameters as variables. Arguments: the binary, the base URLs of sandboxes whose batches take 3 seconds
and an hour, and a directory to work in."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import time

import pages

BINARY, QUICK, SLOW = sys.argv[1:4]
WORK = pathlib.Path(sys.argv[4])
RECIPE = pages.parse((pages.TREE / "ci/teamcity/batchstep.yml").read_text())
SCRIPT = RECIPE["steps"][0]["script"]
PLAIN = "--provider openai --base-url https://api.openai.com/v1"
passed = 0


def proves(what):
    global passed
    passed += 1
    print(f"teamcity: {what}", flush=True)


def checkout(requests=True):
    directory = pathlib.Path(subprocess.check_output(["mktemp", "-d", WORK / "checkout.XXXX"], text=True).strip())
    if requests:
        lines = (pages.TREE / "examples/requests.jsonl").read_text()
        (directory / "requests.jsonl").write_text(lines.replace("capital-france", f"{directory.name}-france"))
    return directory


def start(directory, script, variables):
    """A step: its script as an executable file, with the agent's variables and the parameters of the build."""
    programs = directory / ".programs"
    programs.mkdir(exist_ok=True)
    if not (programs / "batchstep").exists():
        (programs / "batchstep").symlink_to(BINARY)
    file = programs / "script"
    file.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}")
    file.chmod(0o755)
    agent = {"PATH": f"{programs}:{os.environ['PATH']}", "TEAMCITY_VERSION": "2025.11", "BUILD_NUMBER": "7",
             "TEAMCITY_PROJECT_NAME": "a", "HOME": os.environ["HOME"]}
    log = (directory / "log").open("w")
    return subprocess.Popen([file], cwd=directory, env={**agent, **variables}, stdout=log, stderr=subprocess.STDOUT)


def run(directory, script, variables):
    code = start(directory, script, variables).wait(timeout=120)
    return code, (directory / "log").read_text()


# The escapes of JetBrains' page on service messages.
ESCAPES = {"|n": "\n", "|r": "\r", "||": "|", "|'": "'", "|[": "[", "|]": "]"}


def unescaped(value):
    return re.sub(r"\|(?:0x[0-9A-Fa-f]{4}|.)", lambda match: ESCAPES.get(match[0]) or chr(int(match[0][3:], 16)), value)


def parameters(log):
    """The variables that `setParameter` gives the later steps."""
    found = re.findall(r"##teamcity\[setParameter name='env\.([A-Z_]+)' value='((?:[^|'\n]|\|.)*)'\]", log)
    return {name: unescaped(value) for name, value in found}


def scripts(block):
    """The scripts of a block of Kotlin, as TeamCity resolves them."""
    found = []
    for raw in re.findall(r'scriptContent = """\n(.*?)""".trimIndent\(\)', block, re.S):
        assert "$" not in raw, "Kotlin would insert a value"
        assert not re.search(r"(?<!%)%(?!%)", raw), "TeamCity would insert a parameter"
        found.append(textwrap.dedent(raw).replace("%%", "%"))
    return found


def connected(script):
    assert PLAIN in script and script.startswith("exec "), script
    return script.replace(PLAIN, f"--provider compatible --base-url {QUICK}")


def page():
    first, second = pages.blocks("teamcity.md", "kotlin")
    evil = {"BATCHSTEP_BASE_URL": "http://127.0.0.1:9/v1", "BATCHSTEP_PROVIDER": "anthropic"}
    key = {"OPENAI_API_KEY": "sk-secret", "BATCHSTEP_API_KEY": "sk-secret"}
    for block in (first, second):
        assert block.count("BuildType({") == block.count('password("env.OPENAI_API_KEY"')
        assert block.count("{") == block.count("}") and block.count("(") == block.count(")")
    batch, use = scripts(first)
    directory = checkout()
    code, log = run(directory, connected(batch), {**key, **evil})
    outputs = parameters(log)
    assert code == 0 and outputs["BATCH_OUTCOME"] == "succeeded" and json.loads(outputs["BATCH_IDS"]), log
    assert "sk-secret" not in log
    assert f"##teamcity[importData type='junit' path='{directory}/batch-junit.xml']" in log, log
    assert (directory / "batch-junit.xml").read_text().count("<testcase") == 8
    code, log = run(directory, use, {**key, **outputs})
    assert code == 0 and log == "succeeded\n8 batch-results/results.jsonl\n", log
    proves("the build configuration of the page")

    submit, collect = scripts(second)
    directory = checkout()
    code, log = run(directory, connected(submit), key)
    assert code == 0 and parameters(log)["BATCH_OUTCOME"] == "pending", log
    # What the build publishes is where the dependency of `Collect` looks for it.
    assert f"##teamcity[publishArtifacts '{directory}/batch-results => batch-results']" in log, log
    assert 'artifactRules = "batch-results => batch-results"' in second
    looks, outcome = 0, "pending"
    while outcome == "pending" and looks < 20:
        later = checkout(requests=False)
        shutil.copytree(directory / "batch-results", later / "batch-results")
        code, log = run(later, connected(collect), key)
        looks, outcome = looks + 1, parameters(log)["BATCH_OUTCOME"]
        assert code == 0, log
        time.sleep(0.5)
    assert outcome == "succeeded" and looks > 1, (outcome, looks)
    assert len((later / "batch-results/results.jsonl").read_text().splitlines()) == 8
    proves(f"submit, and collect by schedule: {looks} looks")


def recipe_form():
    """JetBrains' specification of recipes."""
    assert set(RECIPE) == {"name", "title", "version", "description", "inputs", "steps"}
    assert re.fullmatch(r"[a-z0-9]{5,30}/[a-z0-9]{5,30}", RECIPE["name"]) and len(RECIPE["title"]) <= 50
    assert re.fullmatch(r"\d+\.\d+\.\d+", RECIPE["version"]) and len(RECIPE["description"]) <= 1000
    for item in RECIPE["inputs"]:
        ((name, form),) = item.items()
        assert name.startswith("env.") and len(name) <= 50, f"{name} would be inserted into the script"
        assert form["type"] in ("text", "boolean", "select", "password") and ("default" in form or form["required"])
        assert set(form) <= {"type", "label", "description", "default", "required", "options"}
        assert len(form["label"]) <= 100 and len(form.get("description", "")) <= 250
        assert form["type"] != "select" or form["default"] in form["options"]
        assert name[4:] in SCRIPT, f"{name} is not used"
    assert "%" not in SCRIPT, "TeamCity would insert a parameter"
    assert len(SCRIPT) <= 50000
    proves("the recipe keeps to JetBrains' specification")


def fields(**values):
    defaults = {name[4:]: form["default"] for item in RECIPE["inputs"] for name, form in item.items()}
    assert not set(values) - set(defaults)
    return {**defaults, **values}


def recipe():
    directory = checkout()
    evil = {"BATCHSTEP_BASE_URL": "http://127.0.0.1:9/v1", "BATCHSTEP_GATE": "touch pwned", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "CI": "woodpecker", "PLUGIN_GATE": "touch pwned", "DRONE": "true", "GITHUB_ACTIONS": "true", "INPUT_GATE": "touch pwned",
            "CIRCLECI": "true", "BASH_ENV": str(directory / "victim")}
    real = fields(input_provider="compatible", input_base_url=QUICK, input_api_key="sk-secret", input_operands="requests.jsonl")
    code, log = run(directory, SCRIPT, {**real, **evil})
    assert code == 0 and parameters(log)["BATCH_OUTCOME"] == "succeeded", log
    assert "sk-secret" not in log and not (directory / "pwned").exists() and not (directory / "victim").exists()
    proves("the recipe, with variables of the build that change nothing")

    show = directory / "show"
    show.write_text("#!/bin/sh\nfor word; do echo \"<$word>\"; done\nenv | grep -E '^(BATCHSTEP_|OPENAI|input_api)' | sort\n")
    show.chmod(0o755)
    nasty = "$(touch pwned)`touch pwned`;touch pwned;'\"\\|%x%"
    code, log = run(directory, SCRIPT, {**evil, **fields(
        input_binary=str(show), input_api_key="k", input_operands=f"{nasty}\n\nEND\n-x", input_max_failed=nasty,
        input_timeout=nasty, input_arguments=f"--metadata=a={nasty}\n--csv=true", input_base_url=nasty)})
    expected = ["run", "--provider=openai", f"--base-url={nasty}", f"--max-failed={nasty}", "--junit=batch-junit.xml",
                f"--timeout={nasty}", f"--metadata=a={nasty}", "--csv=true", "--ci=teamcity", "--", nasty, "END", "-x"]
    assert log.splitlines() == [f"<{word}>" for word in expected] + ["BATCHSTEP_API_KEY=k"], log
    assert code == 0 and not (directory / "pwned").exists()
    for command, words in {"submit": ["submit", "--provider=openai", "--ci=teamcity", "--"],
                           "check": ["check", "--ci=teamcity", "--"]}.items():
        _, log = run(directory, SCRIPT, fields(input_binary=str(show), input_command=command))
        assert log.splitlines()[:-1] == [f"<{word}>" for word in words], log
    _, log = run(directory, SCRIPT, fields(input_binary=str(show), input_arguments="--ci=terminal"))
    assert "<--ci=terminal>" in log and "teamcity" not in log, log
    proves("each field is one argument, whatever it contains")

    directory = checkout()
    process = start(directory, SCRIPT, {**real, "input_base_url": SLOW})
    for _ in range(300):
        if created := re.search(r"Created batch (\w+)", (directory / "log").read_text()):
            break
        time.sleep(0.1)
    process.terminate()
    code = process.wait(timeout=10)
    assert code == 143, (code, (directory / "log").read_text())
    command = [BINARY, "batch", "get", created[1], "--provider", "compatible", "--base-url", SLOW, "--api-key", "x"]
    assert json.loads(subprocess.check_output(command))["status"].startswith("cancel")
    proves("SIGTERM cancels the batch")


os.chdir(WORK)
page()
recipe_form()
recipe()
print(f"{passed} passed, 0 failed")
assert passed == 6
