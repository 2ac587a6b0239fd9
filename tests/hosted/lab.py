"""What the tests of the pieces share: the pages' pipelines, the sandbox, schemas, and shells that are run as a CI does.

Every run has a directory of its own with a `requests.jsonl`, and an environment with no variable of this machine's.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCHSTEP = pathlib.Path(os.environ["BATCHSTEP"]).resolve()
REQUESTS = (ROOT / "examples/requests.jsonl").read_text(encoding="utf-8")
COUNT = len(REQUESTS.splitlines())
HOSTILE = "no $(touch pwned) `touch pwned` '; touch pwned; ' \"; touch pwned; \" file"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pipelines(page):
    """The pipelines that a page prints, as text."""
    return BLOCK.findall((ROOT / "docs/ci" / page).read_text(encoding="utf-8"))


def valid(schema, files):
    """Whether check-jsonschema takes the files, and what it says."""
    ran = subprocess.run(["check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)],
                         capture_output=True, text=True, timeout=120)
    return ran.returncode == 0, ran.stdout + ran.stderr


def hold_against(schema, documents):
    """Fails unless the schema takes every document and refuses one that is spoilt."""
    with tempfile.TemporaryDirectory() as directory:
        files = []
        for number, document in enumerate([*documents, {"jobs": 1, "steps": 1, "stages": 1}]):
            files.append(pathlib.Path(directory, f"{number}.yml"))
            files[-1].write_text(json.dumps(document), encoding="utf-8")
        good, said = valid(schema, files[:-1])
        assert good, said
        assert not valid(schema, files[-1:])[0], f"the schema {schema} takes anything"


@contextlib.contextmanager
def workspace():
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "work")
        path.mkdir()
        (path / "requests.jsonl").write_text(REQUESTS, encoding="utf-8")
        yield path


def environment(work, more):
    """A CI's variables, and those without which no program runs."""
    return {"PATH": os.environ["PATH"], "HOME": str(work.parent), "LANG": "C.UTF-8", "CI": "true", **more}


@contextlib.contextmanager
def sandbox(takes="200ms", *more):
    """A server on loopback whose batches take so long. Gives its base URL."""
    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen([BATCHSTEP, "sandbox", "--port", "0", "--takes", takes, *more], stderr=log,
                                  text=True, env={"PATH": os.environ["PATH"]})
        try:
            for _ in range(100):
                log.seek(0)
                found = re.search(r"serves (http://\S+)", log.read())
                if found:
                    break
                assert server.poll() is None, "the sandbox did not start"
                time.sleep(0.1)
            yield found[1]
        finally:
            server.kill()
            server.wait()


def asked(url, *arguments):
    """What `batchstep` prints about the batches at a server."""
    ran = subprocess.run([BATCHSTEP, *arguments, "--provider", "compatible", "--base-url", url, "--api-key", "x"],
                         capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]})
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def batches(url):
    """The batches at a server: a list of objects."""
    return json.loads(asked(url, "batch", "list"))["data"]


def script(work, command):
    """A step's shell in a file, as the systems keep it."""
    path = work.parent / "step.sh"
    path.write_text(command, encoding="utf-8")
    return path


def shell(command, work, variables, interpreter):
    """Runs a step. Gives its exit code and its log, with standard error in it."""
    ran = subprocess.run([*interpreter, script(work, command)], cwd=work, env=environment(work, variables), text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    return ran.returncode, ran.stdout


def ended_by(sent, send, command, work, variables, interpreter):
    """Starts a step and sends it a signal when its batch exists. Gives its exit code and its log when no process of it
    is left: a CI waits for those that hold the log open.
    """
    with tempfile.TemporaryFile("w+") as log:
        step = subprocess.Popen([*interpreter, script(work, command)], cwd=work, env=environment(work, variables),
                                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

        def said():
            log.seek(0)
            return log.read()

        def wait_until(reached):
            until = time.monotonic() + 60
            while not reached():
                assert time.monotonic() < until, said()
                time.sleep(0.05)

        try:
            wait_until(lambda: "Created batch" in said())
            send(step.pid, sent)
            code = step.wait(timeout=60)
            wait_until(lambda: is_empty(step.pid))
            return code, said()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(step.pid, signal.SIGKILL)


def is_empty(group):
    try:
        os.killpg(group, 0)
        return False
    except ProcessLookupError:
        return True


def cancelled(url):
    """Fails unless the only batch at a server was cancelled."""
    statuses = [batch["status"] for batch in batches(url)]
    assert statuses in (["cancelling"], ["cancelled"]), statuses


def program(work, name, script):
    """Puts a program beside the workspace. Gives the directory, for PATH."""
    directory = work.parent / "bin"
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return directory


def release(work):
    """A release whose installer copies the binary, and a curl that downloads it. Gives PATH and the SHA-256."""
    installer = work.parent / "install.sh"
    installer.write_text(f'cp "{BATCHSTEP}" "$1/batchstep"\n', encoding="utf-8")
    directory = program(work, "curl", f"""
        for last in "$@"; do
            if [ "${{before:-}}" = --output ]; then file=$last; fi
            before=$last
        done
        case $last in */download/cli/v1.2.3/install.sh) cp "{installer}" "$file" ;; *) exit 22 ;; esac""")
    hashed = subprocess.run(["sha256sum", installer], capture_output=True, text=True, check=True)
    return f"{directory}:{os.environ['PATH']}", hashed.stdout.split()[0]


def variables(file):
    """A dotenv file as GitLab and docker read it: no quotes, no comments, no blank lines."""
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines and all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.+", line) for line in lines), lines
    return dict(line.split("=", 1) for line in lines)


def complete(results):
    """Fails unless there is an answer to each request, in their order."""
    def ids(text):
        return [json.loads(line)["custom_id"] for line in text.splitlines()]

    assert ids((results / "results.jsonl").read_text(encoding="utf-8")) == ids(REQUESTS)


def untouched(*places):
    """Fails if a hostile value was executed."""
    for place in places:
        found = list(pathlib.Path(place).rglob("pwned"))
        assert not found, f"a hostile value was executed: {found}"


def run(tests):
    """Runs tests; one that fails ends it."""
    for test in tests:
        began = time.monotonic()
        test()
        print(f"  {test.__name__.replace('_', ' ')}: {time.monotonic() - began:.1f} s", flush=True)


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
