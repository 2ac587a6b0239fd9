"""Runs the CircleCI orb by the configurations of docs/ci/circleci.md.

A resolver expands the jobs of a workflow as CircleCI's documentation describes it: parameters with their types and
defaults, the orb's commands, conditions on pipeline parameters. The shell of the `run` steps is what runs.

    BATCHSTEP=PATH python3 circleci.py
"""
import os
import re
import shutil
import signal
import time

from ruamel.yaml import YAML

import lab

yaml = YAML(typ="safe")
ORB = yaml.load((lab.ROOT / "ci/circleci/orb.yml").read_text(encoding="utf-8"))
WHOLE = re.compile(r"<<\s*((?:pipeline\.)?parameters\.[\w-]+)\s*>>")
ONE_JOB, LONG = 0, 1


def fits(value, declared):
    """Whether a value has the type that a parameter declares."""
    return {
        "string": lambda: isinstance(value, str),
        "boolean": lambda: isinstance(value, bool),
        "enum": lambda: value in declared.get("enum", []),
        "executor": lambda: isinstance(value, str),
    }[declared["type"]]()


def arguments(declared, given, where):
    """The values of parameters: those that are given, and defaults."""
    unknown = set(given) - set(declared)
    assert not unknown, f"{where} has no parameter {unknown}"
    values = {}
    for name, parameter in declared.items():
        values[name] = given.get(name, parameter.get("default"))
        assert values[name] is not None, f"{where} needs {name}"
        assert fits(values[name], parameter), f"{where}: {name} is {values[name]!r}, not {parameter['type']}"
    return values


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def substitute(node, values):
    """Puts values where they are named. One that is the whole scalar keeps its type."""
    if isinstance(node, dict):
        return {key: substitute(inner, values) for key, inner in node.items()}
    if isinstance(node, list):
        return [substitute(inner, values) for inner in node]
    if not isinstance(node, str):
        return node
    whole = WHOLE.fullmatch(node)
    if whole:
        return values[whole[1]]
    return WHOLE.sub(lambda found: text(values[found[1]]), node)


def named(values):
    return {f"parameters.{name}": value for name, value in values.items()}


def steps_of(steps):
    """The steps, with the orb's commands replaced by theirs."""
    expanded = []
    for step in steps:
        name, given = (step, {}) if isinstance(step, str) else next(iter(step.items()))
        if name == "run" or name not in ORB["commands"]:
            expanded.append((name, {"command": given} if isinstance(given, str) else given))
            continue
        command = ORB["commands"][name]
        values = arguments(command.get("parameters", {}), given, f"the command {name}")
        expanded += steps_of(substitute(command["steps"], named(values)))
    return expanded


def jobs_of(config, pipeline_parameters):
    """The jobs that run, in the order in which they are written: their names and steps."""
    declared = config.get("parameters", {})
    values = {f"pipeline.{name}": value
              for name, value in named(arguments(declared, pipeline_parameters, "the pipeline")).items()}
    jobs = {}
    for workflow in config["workflows"].values():
        workflow = substitute(workflow, values)
        if not workflow.get("when", True) or workflow.get("unless", False):
            continue
        for job in workflow["jobs"]:
            name, given = next(iter(job.items()))
            given = {key: value for key, value in given.items() if key not in ("name", "context", "requires")}
            if not name.startswith("batchstep/"):
                jobs[name] = steps_of(config["jobs"][name]["steps"])
                continue
            definition = ORB["jobs"][name.removeprefix("batchstep/")]
            given = arguments(definition["parameters"], given, name)
            assert given["executor"] in {**config.get("executors", {}), **ORB["executors"]}, given["executor"]
            jobs[name] = steps_of(substitute(definition["steps"], named(given)))
    return jobs


class Project:
    """A project: its checkouts, its cache and the workspace of its pipeline."""

    def __init__(self, work, url=None):
        self.work, self.url = work, url
        self.base = work.parent
        self.halted = self.base / "halted"
        self.stored = []
        lab.program(work, "circleci-agent", f'[ "$*" = "step halt" ] && touch "{self.halted}"')

    def variables(self, more):
        return {"CIRCLECI": "true", "CIRCLE_BRANCH": "main", "OPENAI_API_KEY": "x", "BASH_ENV": str(self.base / "env"),
                "PATH": f"{self.base / 'bin'}:{os.environ['PATH']}", **more}

    def job(self, steps, **more):
        """Runs a job in a new checkout. Gives its exit code and its log."""
        lab.remove(self.work)
        self.work.mkdir()
        (self.base / "env").write_text("", encoding="utf-8")
        self.halted.unlink(missing_ok=True)
        self.stored = []
        code, log = 0, ""
        for name, given in steps:
            if self.halted.exists() or code and not (name.startswith("store_") or given.get("when") == "always"):
                continue
            if name != "run":
                getattr(self, name)(given)
                continue
            assert re.fullmatch(r"\d+(\.\d+)?[hms]", given.get("no_output_timeout", "10m"))
            step = {name: text(value) for name, value in given.get("environment", {}).items()}
            ended, said = lab.shell(given["command"], self.work, self.variables({**more, **step}),
                                    ["bash", "-eo", "pipefail"])
            code, log = code or ended, log + said
        return code, log

    def checkout(self, _):
        (self.work / "requests.jsonl").write_text(lab.REQUESTS, encoding="utf-8")

    def store_artifacts(self, given):
        if (self.work / given["path"]).exists():
            self.stored.append(given["path"])

    def store_test_results(self, given):
        for file in (self.work / given["path"]).glob("*.xml"):
            self.stored.append((given["path"], file.read_text(encoding="utf-8").count("<testcase")))

    def persist_to_workspace(self, given):
        self.copy(given["paths"], self.work / given["root"], self.base / "workspace")

    def attach_workspace(self, given):
        self.copy(os.listdir(self.base / "workspace"), self.base / "workspace", self.work / given["at"])

    def save_cache(self, given):
        self.copy(given["paths"], self.work, self.base / "cache" / self.key(given["key"]))

    def restore_cache(self, given):
        for key in given["keys"]:
            found = sorted((self.base / "cache").glob(self.key(key) + "*"))
            if found:
                self.copy(os.listdir(found[-1]), found[-1], self.work)
                return

    @staticmethod
    def key(template):
        key = template.replace("{{ .Branch }}", "main").replace("{{ epoch }}", str(time.time_ns()))
        assert "{{" not in key and "<<" not in key, key
        return key

    @staticmethod
    def copy(paths, source, target):
        for path in paths:
            if (source / path).is_dir():
                shutil.copytree(source / path, target / path, dirs_exist_ok=True)
            else:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / path, target / path)

    def jobs(self, number, parameters=None, **given):
        """The jobs of a pipeline of the page, which use the binary and the sandbox."""
        config = yaml.load(lab.pipelines("circleci.md")[number])
        connection = {"provider": "compatible", "base-url": self.url} if self.url else {"provider": "sandbox"}
        for workflow in config["workflows"].values():
            for job in workflow["jobs"]:
                name, arguments_of_job = next(iter(job.items()))
                if name.startswith("batchstep/"):
                    arguments_of_job.update({"binary": str(lab.BATCHSTEP), **connection, **given})
        return jobs_of(config, parameters or {})

    def run(self, number, parameters=None, more=None, **given):
        """Runs a pipeline until a job fails. Gives each job's exit code and log."""
        results = {}
        for name, steps in self.jobs(number, parameters, **given).items():
            results[name] = self.job(steps, **(more or {}))
            if results[name][0] != 0:
                break
        return results


def passed(result):
    code, said = result
    assert code == 0, said
    return said


def the_schema_takes_the_orb_and_the_pages():
    pages = [yaml.load(page) for page in lab.pipelines("circleci.md")]
    inline = [{**page, "orbs": {"batchstep": {key: value for key, value in ORB.items() if key != "version"}}}
              for page in pages]
    lab.hold_against("circle-ci", [ORB, *pages, *inline])


def one_job_leaves_everything():
    with lab.sandbox() as url, lab.workspace() as work:
        project = Project(work, url)
        results = project.run(ONE_JOB)
        passed(results["batchstep/run"])
        said = passed(results["report"])
        assert f"succeeded, {lab.COUNT} of {lab.COUNT} answered" in said, said
        assert f"{lab.COUNT} batch-results/results.jsonl" in said, said
        lab.complete(work / "batch-results")
        names = [name for name, _ in project.jobs(ONE_JOB)["batchstep/run"]]
        assert names == ["checkout", "run", "run", "store_test_results", "store_artifacts", "store_artifacts",
                         "persist_to_workspace"], names


def later_steps_see_the_outputs_and_failures_keep_the_files():
    with lab.sandbox() as url, lab.workspace() as work:
        project = Project(work, url)
        print_outputs = ("run", {"command": 'echo "seen: $BATCH_OUTCOME $BATCH_ID"'})
        said = passed(project.job([*project.jobs(ONE_JOB)["batchstep/run"], print_outputs]))
        assert f"seen: succeeded {lab.batches(url)[0]['id']}" in said, said
        expected = [("batch-tests", lab.COUNT), "batch-results", "batch-summary.md"]
        code, said = project.run(ONE_JOB, more={"BATCHSTEP_MAX_SUSPECT": "nonsense"})["batchstep/run"]
        assert code == 2, said
        with lab.workspace() as other:
            failing = Project(other, None)
            given = {"BATCHSTEP_FAULT": "rows status=500", "BATCHSTEP_RETRIES": "0"}
            code, said = failing.run(ONE_JOB, more=given)["batchstep/run"]
            assert code == 7 and failing.stored == expected, (said, failing.stored)


def a_schedule_collects_once():
    with lab.sandbox("5s") as url, lab.workspace() as work:
        project = Project(work, url)
        began = time.monotonic()
        assert list(project.run(LONG)) == ["batchstep/submit"]
        assert list(project.run(LONG, {"collect": True})) == ["batchstep/collect"]
        assert lab.variables(work / "batch.env")["BATCH_OUTCOME"] == "pending"
        code, said = project.run(LONG, {"collect": True}, **{"fail-if-pending": True})["batchstep/collect"]
        assert code == 8, said
        # A collect that ends without a verdict leaves the batch to the next one.
        wrong = {"BATCHSTEP_MAX_SUSPECT": "nonsense"}
        code, said = project.run(LONG, {"collect": True}, more=wrong)["batchstep/collect"]
        assert code == 2 and lab.variables(work / "batch.env")["BATCH_OUTCOME"] == "usage", said
        time.sleep(max(0.0, 6 - (time.monotonic() - began)))
        passed(project.run(LONG, {"collect": True})["batchstep/collect"])
        lab.complete(work / "batch-results")
        assert ("batch-tests", lab.COUNT) in project.stored, project.stored
        assert lab.variables(work / "batch.env")["BATCH_OUTCOME"] == "succeeded"
        assert "Nothing is pending." in passed(project.run(LONG, {"collect": True})["batchstep/collect"])
        assert project.stored == [] and len(lab.batches(url)) == 1


def a_failure_is_collected_once():
    with lab.sandbox("200ms", "--fault", "rows status=500") as url, lab.workspace() as work:
        project = Project(work, url)
        project.run(LONG)
        time.sleep(1)
        code, said = project.run(LONG, {"collect": True})["batchstep/collect"]
        assert code == 7, said
        assert "Nothing is pending." in passed(project.run(LONG, {"collect": True})["batchstep/collect"])


def hostile_text_is_not_executed():
    with lab.workspace() as work:
        project = Project(work)
        for name in ("base-url", "requests", "max-failed", "max-cost", "timeout", "binary", "version",
                     "installer-sha256"):
            installs = {"binary": ""} if name in ("version", "installer-sha256") else {}
            code, said = project.run(ONE_JOB, **{**installs, name: lab.HOSTILE})["batchstep/run"]
            assert code != 0, f"{name}: {said}"
            lab.untouched(work.parent)
        for name in ("provider", "executor"):
            try:
                project.run(ONE_JOB, **{name: lab.HOSTILE})
            except AssertionError as error:
                assert name in str(error) or lab.HOSTILE in str(error), error
            else:
                raise AssertionError(f"{name} takes anything")
        # This test has to be able to fail.
        project.job([("run", {"command": f"echo {lab.HOSTILE}"})])
        assert list(work.parent.rglob("pwned")), "a value in a command was not executed"


def a_release_is_installed_if_its_hash_is_right():
    with lab.workspace() as work:
        project = Project(work)
        path, sha256 = lab.release(work)
        for given, is_right in ((sha256, True), ("0" * 64, False), ("", False)):
            lab.remove(work.parent / ".batchstep")
            code, said = project.run(ONE_JOB, binary="", version="1.2.3", more={"PATH": path},
                                     **{"installer-sha256": given})["batchstep/run"]
            assert (code == 0) == is_right and ("Created batch" in said) == is_right, said


def sigterm_cancels_the_batch():
    with lab.sandbox("1h") as url, lab.workspace() as work:
        project = Project(work, url)
        steps = project.jobs(ONE_JOB)["batchstep/run"]
        passed(project.job(steps[:2]))
        step = steps[2][1]
        code, said = lab.ended_by(signal.SIGTERM, os.kill, step["command"], work,
                                  project.variables({**step["environment"],
                                                     "PATH": f"{work.parent / '.batchstep'}:{os.environ['PATH']}"}),
                                  ["bash", "-eo", "pipefail"])
        assert code == 128 + signal.SIGTERM, said
        lab.cancelled(url)


if __name__ == "__main__":
    lab.run([
        the_schema_takes_the_orb_and_the_pages, one_job_leaves_everything,
        later_steps_see_the_outputs_and_failures_keep_the_files, a_schedule_collects_once, a_failure_is_collected_once,
        hostile_text_is_not_executed, a_release_is_installed_if_its_hash_is_right, sigterm_cancels_the_batch,
    ])
