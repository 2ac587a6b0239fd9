"""Runs the GitLab component, and the pipelines of docs/ci/gitlab.md, under gitlab-ci-local.

What the page prints is what runs; only the component's address is this repository's, and an inputs file names the
binary and the sandbox.

    BATCHSTEP=PATH GITLAB_CI_LOCAL=PATH python3 gitlab.py
"""
import contextlib
import os
import re
import signal
import subprocess
import time

from ruamel.yaml import YAML

import lab

COMPONENT = lab.ROOT / "ci/gitlab/templates/batchstep.yml"
ADDRESS = re.compile(r"component: \$CI_SERVER_FQDN/\S+/batchstep@\S+")
OURS = "component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/batchstep@$CI_COMMIT_SHA"
OPTIONS = ["--force-shell-executor", "--shell-isolation", "--no-json-schema-validation"]
yaml = YAML(typ="safe")


def page(number):
    """A pipeline of the page, with the component's address in this repository."""
    text, replaced = ADDRESS.subn(OURS, lab.pipelines("gitlab.md")[number])
    assert replaced == 1, "the pipeline does not include the component"
    return text


ONE_JOB, MERGED, DELAYED, SCHEDULED = 0, 1, 2, 3
# A line of a job that is not part of its script.
OUTSIDE = re.compile(r"^('| {2}(stage|image|timeout|extends|needs): | {4}(key|job|BATCHSTEP_REQUESTS): "
                     r"| {4}- if: | {6}start_in: )")


class Project:
    """A repository with the component and a pipeline, as GitLab would check it out."""

    def __init__(self, work, pipeline, **inputs):
        self.work = work
        (work / "templates").mkdir()
        (work / "templates/batchstep.yml").write_text(COMPONENT.read_text(encoding="utf-8"), encoding="utf-8")
        (work / ".gitlab-ci.yml").write_text(pipeline, encoding="utf-8")
        self.inputs({"binary": str(lab.BATCHSTEP), **inputs})
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("remote", "add", "origin", "git@gitlab.com:batchstep/demo.git")
        self.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
        self.commit()

    def git(self, *arguments):
        subprocess.run(["git", "-c", "user.name=ci", "-c", "user.email=ci@localhost", *arguments], cwd=self.work,
                       check=True, capture_output=True, timeout=60, env={"PATH": os.environ["PATH"]})

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "work")

    def inputs(self, inputs):
        """Sets inputs, which replace those of the pipeline."""
        with open(self.work / ".gitlab-ci-local-inputs.yml", "w", encoding="utf-8") as file:
            yaml.dump(inputs, file)

    def spoil(self, old, new):
        """Changes the component, to show that a test can fail."""
        path = self.work / "templates/batchstep.yml"
        text = path.read_text(encoding="utf-8")
        assert old in text, old
        path.write_text(text.replace(old, new), encoding="utf-8")
        self.commit()

    def run(self, *arguments, path=None, **variables):
        """Runs the pipeline, or the jobs that are named. Gives its exit code and its log."""
        given = [word for name, value in {"OPENAI_API_KEY": "x", **variables}.items()
                 for word in ("--variable", f"{name}={value}")]
        ran = subprocess.run([os.environ["GITLAB_CI_LOCAL"], *OPTIONS, *arguments, *given], cwd=self.work, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180,
                             env=lab.environment(self.work, {"PATH": path or os.environ["PATH"]}))
        return ran.returncode, ran.stdout

    def expanded(self):
        """The pipeline as gitlab-ci-local expands it, and finds it valid by the schema that it carries."""
        code, said = self.run("--preview", "--json-schema-validation")
        assert code == 0, said
        return yaml.load(said[said.index("---\n"):])

    def kept(self, job):
        """The artifacts of a job."""
        return self.work / ".gitlab-ci-local/artifacts" / job

    def dotenv(self, job):
        return lab.variables(self.kept(job) / ".gitlab-ci-reports/dotenv/batch.env")


@contextlib.contextmanager
def project(pipeline, **inputs):
    with lab.workspace() as work:
        yield Project(work, pipeline, **inputs)


@contextlib.contextmanager
def served(pipeline, takes="200ms", **inputs):
    """A project whose batches run in a sandbox. Gives it and the base URL."""
    with lab.sandbox(takes) as url, project(pipeline, provider="compatible", **{"base-url": url}, **inputs) as ours:
        yield ours, url


def passed(result):
    code, said = result
    assert code == 0, said
    return said


def failed(result, exit_code):
    code, said = result
    assert code != 0 and re.search(rf"FAIL.*\n?.*\b{exit_code}\b", said), f"not {exit_code}:\n{said}"
    return said


def the_schema_takes_every_mode():
    documents = []
    for mode in ("run", "delayed", "scheduled"):
        with project(page(ONE_JOB).split("report:")[0], mode=mode) as ours:
            documents.append(ours.expanded())
    lab.hold_against("gitlab-ci", [*documents, *(yaml.load(text) for text in lab.pipelines("gitlab.md"))])


def one_job_leaves_everything():
    with served(page(ONE_JOB) + lab.pipelines("gitlab.md")[MERGED]) as (ours, url):
        said = passed(ours.run(CI_JOB_TIMEOUT="10800"))
        assert re.search(r"deadline is in 2h 3[45]m", said), said
        assert f"succeeded, {lab.COUNT} of {lab.COUNT} answered" in said, said
        assert f"{lab.COUNT} batch-results/results.jsonl" in said, said
        lab.complete(ours.kept("batchstep") / "batch-results")
        assert (ours.kept("batchstep") / "batch-results/report.json").exists()
        assert "SIMULATED" in (ours.kept("batchstep") / "batch-summary.md").read_text(encoding="utf-8")
        values = ours.dotenv("batchstep")
        assert len(values) <= 20 and values["BATCH_OUTCOME"] == "succeeded", values
        assert [batch["id"] for batch in lab.batches(url)] == [values["BATCH_ID"]]
        job = ours.expanded()["batchstep"]
        assert job["variables"]["BATCHSTEP_MAX_TOKENS"] == "2000000" and job["tags"] == ["large"], job
        assert job["artifacts"]["reports"] == {
            "dotenv": "batch.env",
            "junit": "batch-junit.xml",
            "codequality": "batch-results/gl-code-quality.json",
            "annotations": "batch-results/gl-annotations.json",
        }, job
        tests = (ours.work / ".gitlab-ci-local/builds/batchstep/batch-junit.xml").read_text(encoding="utf-8")
        assert tests.count("<testcase") == lab.COUNT


def the_collect_job_gets_the_submission():
    with served(page(DELAYED)) as (ours, url):
        said = passed(ours.run())
        values = ours.dotenv("batchstep-submit")
        assert values["BATCH_OUTCOME"] == "pending", values
        assert f"succeeded of {values['BATCH_ID']}" in said, said
        lab.complete(ours.kept("batchstep-collect") / "batch-results")
        assert len(lab.batches(url)) == 1
        job = ours.expanded()["batchstep-collect"]
        assert job["rules"][0] | {"if": ""} == {"if": "", "when": "delayed", "start_in": "25 hours"}, job


def ids_that_are_sent_along_are_not_collected():
    # For GitLab variables that are sent along are stronger than a dotenv report, but not for gitlab-ci-local.
    weaker = "\nbatchstep-submit:\n  script: [batch submit, sed -i /BATCH_IDS/d batch.env]\n"
    with served(page(DELAYED) + weaker) as (ours, _):
        sent = {"BATCH_IDS": '["batch_of_others"]', "BATCHSTEP_BATCH_ID": "batch_of_others"}
        said = passed(ours.run(**sent))
        assert "batch_of_others" not in said, said
        assert ours.dotenv("batchstep-collect")["BATCH_OUTCOME"] == "succeeded"


def without_the_journal_the_ids_of_the_dotenv_report_are_used():
    only_reports = "\nbatchstep-submit:\n  artifacts:\n    paths: [batch-summary.md]\n"
    with served(page(DELAYED) + only_reports) as (ours, _):
        passed(ours.run())
        assert not (ours.kept("batchstep-submit") / "batch-results").exists()
        assert ours.dotenv("batchstep-collect")["BATCH_OUTCOME"] == "succeeded"
        # This test has to be able to fail: without both there is nothing to collect.
        ours.spoil("export BATCHSTEP_BATCH_ID=", "unused=")
        failed(ours.run(), 2)


def a_retry_collects_what_was_pending():
    with served(page(DELAYED), takes="6s") as (ours, url):
        began = time.monotonic()
        failed(ours.run(), 8)
        assert ours.dotenv("batchstep-collect")["BATCH_OUTCOME"] == "pending"
        time.sleep(max(0.0, 7 - (time.monotonic() - began)))
        passed(ours.run("batchstep-collect"))
        assert ours.dotenv("batchstep-collect")["BATCH_OUTCOME"] == "succeeded"
        assert len(lab.batches(url)) == 1


def schedules_collect_once():
    with served(page(SCHEDULED), takes="6s") as (ours, url):
        began = time.monotonic()
        said = passed(ours.run())
        assert "batchstep-collect" not in said, said
        said = passed(ours.run(CI_PIPELINE_SOURCE="schedule"))
        assert "batchstep-submit" not in said and "pending" in said, said
        # A collect that ends without a verdict leaves the batch to the next one.
        failed(ours.run(CI_PIPELINE_SOURCE="schedule", BATCHSTEP_MAX_SUSPECT="nonsense"), 2)
        assert ours.dotenv("batchstep-collect-pending")["BATCH_OUTCOME"] == "usage"
        time.sleep(max(0.0, 7 - (time.monotonic() - began)))
        passed(ours.run(CI_PIPELINE_SOURCE="schedule"))
        assert ours.dotenv("batchstep-collect-pending")["BATCH_OUTCOME"] == "succeeded"
        lab.complete(ours.kept("batchstep-collect-pending") / "batch-results")
        assert "Nothing is pending." in passed(ours.run(CI_PIPELINE_SOURCE="schedule"))
        assert len(lab.batches(url)) == 1


def a_failure_is_collected_once():
    with lab.sandbox("200ms", "--fault", "rows status=500") as url:
        with project(page(SCHEDULED), provider="compatible", **{"base-url": url}) as ours:
            passed(ours.run())
            failed(ours.run(CI_PIPELINE_SOURCE="schedule"), 7)
            assert "Nothing is pending." in passed(ours.run(CI_PIPELINE_SOURCE="schedule"))


def a_submission_without_a_batch_leaves_nothing_pending():
    with served(page(SCHEDULED)) as (ours, url):
        failed(ours.run(BATCHSTEP_MAX_TOTAL_REQUESTS="1"), 4)
        assert "Nothing is pending." in passed(ours.run(CI_PIPELINE_SOURCE="schedule"))
        assert not lab.batches(url)


def text_reaches_the_program_as_it_is():
    with project(page(ONE_JOB), provider="sandbox", requests=lab.HOSTILE) as ours:
        said = failed(ours.run(), 3)
        assert "$(touch pwned)" in said and "`touch pwned`" in said, said
        lab.untouched(ours.work)
        # This test has to be able to fail.
        ours.spoil("batch run ", "batch run $[[ inputs.requests ]] ")
        ours.run()
        assert list(ours.work.rglob("pwned")), "a value in a script was not executed"


def hostile_values_of_the_other_inputs_are_refused():
    header, jobs = COMPONENT.read_text(encoding="utf-8").split("\n---\n")
    refused = 0
    with project(page(ONE_JOB).split("report:")[0]) as ours:
        for name, given in yaml.load(header)["spec"]["inputs"].items():
            closed = "regex" in given or "options" in given or given.get("type") == "boolean"
            in_script = [line for line in jobs.splitlines() if f"inputs.{name} ]]" in line and not OUTSIDE.match(line)]
            assert closed or not in_script, f"{name} takes anything, and is in a script: {in_script}"
            for value in (f"{given['default']}\n'; touch pwned", "$(touch pwned)") if closed else ():
                ours.inputs({"provider": "sandbox", name: value})
                code, said = ours.run("--preview")
                assert code != 0 and re.search(r"required regex|allowed options|not a boolean", said), f"{name}: {said}"
                refused += 1
    assert refused >= 20, refused


def variables_that_are_sent_along_change_nothing():
    sent = {
        "BATCHSTEP_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "BATCHSTEP_PROVIDER": "anthropic", "BATCHSTEP_GATE": "touch pwned", "BATCHSTEP_PRICES": "/dev/null",
        "BATCHSTEP_CA_FILE": "/dev/null", "BATCHSTEP_OUTPUT_DIR": "elsewhere", "BATCHSTEP_MAX_FAILED": "-1",
        "BATCHSTEP_COMMAND": "cancel", "GITHUB_ACTIONS": "true", "INPUT_GATE": "touch pwned", "DRONE": "true",
        "PLUGIN_GATE": "touch pwned", "binary": "touch", "batchstep": "touch", "base_url": "http://127.0.0.1:9/v1",
    }
    with served(page(ONE_JOB)) as (ours, _):
        passed(ours.run(**sent))
        assert ours.dotenv("batchstep")["BATCH_OUTCOME"] == "succeeded"
        lab.untouched(ours.work)
    with project(page(ONE_JOB), provider="sandbox") as ours:
        # This test has to be able to fail: the built-in sandbox's address and the gate are not removed now.
        ours.spoil("unset ", ": ")
        ours.run(BATCHSTEP_GATE="touch pwned", BATCHSTEP_CSV="true")
        assert list(ours.work.rglob("pwned")), "the gate did not run"


def a_release_is_installed_if_its_hash_is_right():
    with project(page(ONE_JOB), provider="sandbox", binary="") as ours:
        path, sha256 = lab.release(ours.work)
        for given, outcome in ((sha256, passed), ("0" * 64, None), ("", None)):
            ours.inputs({"provider": "sandbox", "binary": "", "version": "1.2.3", "installer-sha256": given})
            lab.remove(ours.work / ".gitlab-ci-local/builds")
            code, said = ours.run(path=path)
            assert (code == 0) == (outcome is passed), said
            assert ("Created batch" in said) == (outcome is passed), said


def sigterm_cancels_the_batch():
    with served(page(ONE_JOB), takes="1h") as (ours, url):
        job = ours.expanded()["batchstep"]
        script = "set -e\n" + "\n".join([*job["before_script"], *job["script"]])
        given = {"OPENAI_API_KEY": "x", "GITLAB_CI": "true", **job["variables"]}
        _, said = lab.ended_by(signal.SIGTERM, os.killpg, script, ours.work, given, ["sh"])
        assert "SIGTERM" in said, said
        lab.cancelled(url)


if __name__ == "__main__":
    lab.run([
        the_schema_takes_every_mode, one_job_leaves_everything, the_collect_job_gets_the_submission,
        ids_that_are_sent_along_are_not_collected, without_the_journal_the_ids_of_the_dotenv_report_are_used,
        a_retry_collects_what_was_pending, schedules_collect_once, a_failure_is_collected_once,
        a_submission_without_a_batch_leaves_nothing_pending,
        text_reaches_the_program_as_it_is, hostile_values_of_the_other_inputs_are_refused,
        variables_that_are_sent_along_change_nothing, a_release_is_installed_if_its_hash_is_right,
        sigterm_cancels_the_batch,
    ])
