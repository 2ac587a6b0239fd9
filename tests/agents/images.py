"""Runs the steps of docs/ci/woodpecker.md and docs/ci/bitbucket.md: batchstep's image is the static binary in an empty
file system, with the variables that each system makes of a step. Arguments: the binary, the base URLs of sandboxes whose
batches take 3 seconds, 15 seconds and an hour, and a directory to work in."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pages

BINARY, QUICK, MEDIUM, SLOW = sys.argv[1:5]
WORK = pathlib.Path(sys.argv[5])
ELF = subprocess.run(["readelf", "-lW", BINARY], capture_output=True, text=True)
STATIC = ELF.returncode == 0 and "INTERP" not in ELF.stdout
IMAGE = re.compile(r"^(docker://)?ghcr\.io/batchstep/batchstep:\d+\.\d+\.\d+$")
passed = 0


def proves(what):
    global passed
    passed += 1
    print(f"images: {what}", flush=True)


def workspace():
    """A root that holds the binary and the requests, and nothing else."""
    root = pathlib.Path(subprocess.check_output(["mktemp", "-d", str(WORK / "root.XXXX")], text=True).strip())
    shutil.copy(BINARY, root / "batchstep")
    shutil.copy(pages.TREE / "examples/requests.jsonl", root)
    return root


def plugin(root, variables):
    """Starts the image: no arguments, only variables. Without a static binary the file system is not empty."""
    command = [shutil.which("chroot"), str(root), "/batchstep"] if STATIC else [str(root / "batchstep")]
    log = (root / "log").open("w")
    return subprocess.Popen(command, cwd=root, env=variables, stdout=log, stderr=subprocess.STDOUT)


def run(root, variables):
    code = plugin(root, variables).wait(timeout=120)
    return code, (root / "log").read_text()


def commands(root, lines, variables=None):
    """The lines of a script, in one shell that ends at the first failure."""
    environment = {"PATH": os.environ["PATH"], **(variables or {})}
    return subprocess.run(["bash", "-e", "-c", "\n".join(lines)], cwd=root, env=environment, capture_output=True, text=True)


def text(value):
    """A setting as both Woodpecker and Drone write it into a variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return ",".join(text(item) for item in value)
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def woodpecker(settings):
    """woodpecker-ci/woodpecker, pipeline/frontend/yaml/compiler/settings: upper case, and `_` for `-`."""
    variables = {f"PLUGIN_{name.upper().replace('-', '_')}": text(value) for name, value in settings.items()}
    return {"CI": "woodpecker", "CI_REPO": "a/b", "CI_PIPELINE_NUMBER": "1", "CI_COMMIT_SHA": "0" * 40, **variables}


def drone(settings):
    """drone-runners/drone-runner-docker, engine/compiler/step.go: upper case, and `-` stays."""
    variables = {f"PLUGIN_{name.upper()}": text(value) for name, value in settings.items()}
    return {"CI": "true", "DRONE": "true", "DRONE_REPO": "a/b", "DRONE_BUILD_NUMBER": "1", **variables}


def here(settings, url=QUICK, **more):
    """Settings with the sandbox in place of the provider. Everything else is as the page has it."""
    assert settings["provider"] == "openai" and settings["base_url"] == "https://api.openai.com/v1"
    assert settings["api_key"] == {"from_secret": "openai_api_key"}
    return {**settings, "provider": "compatible", "base_url": url, "api_key": "sk-secret", **more}


def dotenv(path):
    """`KEY=value` lines, as GitLab and Docker read them."""
    lines = path.read_text().splitlines()
    assert lines and all(re.match(r"^BATCH_[A-Z_]+=.+$", line) for line in lines), lines
    return dict(line.split("=", 1) for line in lines)


def statuses(url):
    command = [BINARY, "batch", "list", "--json", "--provider", "compatible", "--base-url", url, "--api-key", "x"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {batch["id"]: batch["status"] for batch in json.loads(listed)["data"]}


def end(root, variables, number):
    """Sends a signal to a run whose batch exists; returns its exit code, the batch, and how long it took to end."""
    process = plugin(root, variables)
    for _ in range(300):
        if created := re.search(r"Created batch (\w+)", (root / "log").read_text()):
            break
        time.sleep(0.1)
    assert created, (root / "log").read_text()
    began = time.monotonic()
    process.send_signal(number)
    return process.wait(timeout=60), created[1], time.monotonic() - began


def unique(root):
    """Requests that no other test has sent, so that it does not attach to theirs."""
    path = root / "requests.jsonl"
    path.write_text(path.read_text().replace("capital-france", f"{root.name}-france"))
    return root


def steps_of(block):
    return [step for document in pages.documents(block) for step in document["steps"]]


def plugins_page():
    """Every pipeline of the page: the image's step, then the commands of the next one."""
    blocks = pages.blocks("woodpecker.md", "yaml")
    assert len(blocks) == 3 and [("kind: pipeline" in block) for block in blocks] == [False, False, True]
    for block in blocks:
        made = drone if "kind: pipeline" in block else woodpecker
        plain, use = steps_of(block)
        assert IMAGE.match(plain["image"]), plain["image"]
        assert not any("-" in name for name in plain["settings"]), "Drone would not pass it on as batchstep reads it"
        settings, root = here(plain["settings"]), unique(workspace())
        if settings.get("on_timeout") == "detach":
            # The first pipeline ends before the batch does. The next one attaches to it, and another one to its answers.
            settings = here(plain["settings"], MEDIUM)
            code, log = run(root, made({**settings, "timeout": "6s"}))
            assert code == 0 and dotenv(root / "batch.env")["BATCH_OUTCOME"] == "detached", log
            assert commands(root, use["commands"]).stdout == ""
            for _ in range(2):
                shutil.rmtree(root / "batch-results")
                code, log = run(root, made(settings))
                assert code == 0 and "Created batch" not in log, log
        else:
            code, log = run(root, made(settings))
        outputs = dotenv(root / "batch.env")
        assert code == 0 and outputs["BATCH_OUTCOME"] == "succeeded" and outputs["BATCH_TOTAL"] == "8", log
        used = commands(root, use["commands"])
        assert used.returncode == 0 and "8 batch-results/results.jsonl" in used.stdout, used
        assert "sk-secret" not in log
        proves(f"a {made.__name__} pipeline whose timeout is {plain['settings']['timeout']}")


def plugin_commands():
    """`command`, lists, and what needs a shell."""
    first, _ = steps_of(pages.blocks("woodpecker.md", "yaml")[0])
    settings, root = here(first["settings"]), unique(workspace())
    del settings["timeout"], settings["max_failed"]
    settings["base_url"] = MEDIUM
    code, log = run(root, drone({**settings, "command": "submit", "metadata": ["suite=a", "x=b"]}))
    outputs = dotenv(root / "batch.env")
    assert code == 0 and outputs["BATCH_OUTCOME"] == "pending", log
    collect = {**settings, "command": "collect", "batch_id": outputs["BATCH_IDS"]}
    code, log = run(root, drone({**collect, "fail_if_pending": True, "timeout": 0}))
    assert code == 8, log
    code, log = run(root, woodpecker({**collect, "timeout": "1m"}))
    assert code == 0 and dotenv(root / "batch.env")["BATCH_OUTCOME"] == "succeeded", log
    proves("submit and collect as settings")
    code, log = run(root, woodpecker({**settings, "max_failed": "101%"}))
    assert code == 2 and "`max_failed`" in log, log
    if STATIC:
        code, log = run(root, woodpecker({**settings, "gate": "true", "reuse": "finished"}))
        assert code == 1 and "The gate failed" in log, log
    proves("a wrong setting is named as it was written, and a gate fails without a shell")


def plugin_signals():
    first, _ = steps_of(pages.blocks("woodpecker.md", "yaml")[0])
    root = unique(workspace())
    code, batch, seconds = end(root, woodpecker(here(first["settings"], SLOW)), signal.SIGTERM)
    assert code == 143 and seconds < 20 and statuses(SLOW)[batch].startswith("cancel"), (code, seconds)
    proves(f"SIGTERM: the batch is cancelled after {seconds:.1f} s")
    root = unique(workspace())
    code, batch, _ = end(root, drone(here(first["settings"], SLOW)), signal.SIGKILL)
    assert code == -9 and statuses(SLOW)[batch] == "validating"
    shutil.rmtree(root / "batch-results")
    (root / "batch.env").unlink(missing_ok=True)
    code, log = run(root, drone(here(first["settings"], SLOW, timeout="8s", on_timeout="detach")))
    assert code == 0 and f"Attached to batch {batch}" in log and "Created batch" not in log, log
    assert dotenv(root / "batch.env")["BATCH_IDS"] == json.dumps([batch])
    proves("SIGKILL: the batch keeps running, and the next pipeline attaches to it")


def bitbucket_step(root, step, passed_on, url=QUICK):
    """A step: its pipe, then its other lines. Returns the output variables, or the pipe's exit code and log."""
    name = "variables"
    (root / name).touch()
    own = {"CI": "true", "BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_COMMIT": "0" * 40, "BITBUCKET_REPO_FULL_NAME": "a/b",
           "BITBUCKET_WORKSPACE": "a", "BITBUCKET_REPO_SLUG": "b", "BITBUCKET_BRANCH": "main",
           "BITBUCKET_PIPELINES_VARIABLES_PATH": str(root / name)}
    # Where the image sees the same file.
    inside = {"BITBUCKET_PIPELINES_VARIABLES_PATH": f"/{name}"} if STATIC else {}
    lines = []
    for line in step["script"]:
        if isinstance(line, str):
            lines.append(line)
            continue
        assert IMAGE.match(line["pipe"]), line["pipe"]
        variables = dict(line["variables"])
        assert all(isinstance(value, str) for value in variables.values()), "a list gets other names"
        assert variables["BATCHSTEP_PROVIDER"] == "openai" and variables["BATCHSTEP_BASE_URL"] == "https://api.openai.com/v1"
        known = {"OPENAI_API_KEY": "sk-secret", **passed_on}
        for key, value in variables.items():
            if value.startswith("$"):
                variables[key] = known[value[1:]]
        variables |= {"BATCHSTEP_PROVIDER": "compatible", "BATCHSTEP_BASE_URL": url}
        code, log = run(root, {**own, **inside, **variables})
        if code != 0:
            return code, log
        assert "sk-secret" not in log
    done = commands(root, lines, {**own, **passed_on})
    assert done.returncode == 0, done
    # The last of equal names counts; only those that are declared are passed on.
    found = dict(line.split("=", 1) for line in (root / name).read_text().splitlines())
    (root / name).unlink()
    return 0, {**passed_on, **{key: found[key] for key in step.get("output-variables", [])}}, done.stdout


def bitbucket_page():
    first, second = [pages.parse(block)["pipelines"] for block in pages.blocks("bitbucket.md", "yaml")]
    batch, use = [item["step"] for item in first["branches"]["main"]]
    root = unique(workspace())
    (root / "test-results").mkdir()
    code, variables, _ = bitbucket_step(root, batch, {})
    assert code == 0 and variables["BATCH_OUTCOME"] == "succeeded", variables
    assert json.loads(variables["BATCH_IDS"]) == [variables["BATCH_ID"]]
    assert (root / "test-results/batch.xml").read_text().count("<testcase") == 8
    code, _, output = bitbucket_step(root, use, variables)
    assert code == 0 and output == "8 batch-results/results.jsonl\n", output
    proves("the first pipeline for Bitbucket")

    submit, collect = [item["step"] for item in second["custom"]["long-batch"]]
    root = unique(workspace())
    code, variables, _ = bitbucket_step(root, submit, {}, MEDIUM)
    assert code == 0 and set(variables) == {"BATCH_IDS"}, variables
    code, log = bitbucket_step(root, collect, variables, MEDIUM)
    assert code == 8, log
    time.sleep(16)
    code, _, _ = bitbucket_step(root, collect, variables, MEDIUM)
    assert code == 0 and len((root / "batch-results/results.jsonl").read_text().splitlines()) == 8
    proves("submit, and collect by hand, for Bitbucket")

    root = unique(workspace())
    (root / "test-results").mkdir()
    plain = {key: value for key, value in batch["script"][0]["variables"].items()}
    plain |= {"CI": "true", "BITBUCKET_BUILD_NUMBER": "7", "BITBUCKET_COMMIT": "0" * 40, "BATCHSTEP_API_KEY": "sk-secret",
              "BATCHSTEP_PROVIDER": "compatible", "BATCHSTEP_BASE_URL": SLOW}
    code, id_, _ = end(root, plain, signal.SIGKILL)
    assert code == -9
    shutil.rmtree(root / "batch-results")
    code, log = run(root, {**plain, "BATCHSTEP_TIMEOUT": "8s", "BATCHSTEP_ON_TIMEOUT": "detach"})
    assert code == 0 and f"Attached to batch {id_}" in log and "Created batch" not in log, log
    proves("a stopped step for Bitbucket: the next run attaches to its batch")


os.chdir(WORK)
if not STATIC:
    print("images: the binary is not static, so its file system is not empty")
plugins_page()
plugin_commands()
plugin_signals()
bitbucket_page()
print(f"{passed} passed, 0 failed")
assert passed == 10
