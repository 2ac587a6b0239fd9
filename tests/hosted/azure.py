"""Runs the Azure template by the pipelines of docs/ci/azure-pipelines.md.

A resolver expands templates as Azure's documentation describes it: parameters with their values and defaults,
`${{ }}` before the run, `$(macros)` and `$[ outputs ]` in it. The shell of the `bash` steps is what runs, and its log
is read for `##vso` commands as the agent does (Command.cs and CommandStringConvertor.cs of its source).

    BATCHSTEP=PATH python3 azure.py
"""
import os
import re
import signal
import time

from ruamel.yaml import YAML

import lab

yaml = YAML(typ="safe")
TEMPLATE = yaml.load((lab.ROOT / "ci/azure/batchstep.yml").read_text(encoding="utf-8"))
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([\w.]+)|([(),]))")
OUTPUT = re.compile(r"\$\[ dependencies\.(\w+)\.outputs\['([\w.]+)'\] \]")
COMMAND = re.compile(r"##vso\[task\.setvariable ([^\]]*)\](.*)")
# How the template takes quotes and dollar signs from a parameter.
REMOVAL = re.compile(r"replace\(replace\((parameters\.\w+), '{4}, ''\), '\$', ''\)")
ESCAPES = {"%3B": ";", "%0D": "\r", "%0A": "\n", "%5D": "]", "%AZP25": "%"}
ONE_JOB, LONG = 0, 1


def evaluate(expression, parameters):
    """The value of an expression: `parameters.NAME`, or `replace` of text, as deep as it goes."""
    tokens = [match.groups() for match in TOKEN.finditer(expression)]

    def value():
        text, word, sign = tokens.pop(0)
        if text is not None:
            return text.replace("''", "'")
        assert word, sign
        if word.startswith("parameters."):
            return parameters[word.removeprefix("parameters.")]
        assert word == "replace" and tokens.pop(0)[2] == "(", word
        words = [value()]
        while tokens.pop(0)[2] == ",":
            words.append(value())
        return words[0].replace(words[1], words[2])

    found = value()
    assert not tokens, expression
    return found


def expand(node, parameters):
    if isinstance(node, dict):
        return {key: expand(inner, parameters) for key, inner in node.items()}
    if isinstance(node, list):
        return [expand(inner, parameters) for inner in node]
    if not isinstance(node, str):
        return node
    return EXPRESSION.sub(lambda found: evaluate(found[1], parameters), node)


def steps_of(steps, replaced):
    """The steps of a job, with those of the template in place of its name."""
    expanded = []
    for step in steps:
        if "template" not in step:
            expanded.append(step)
            continue
        assert step["template"] == "ci/azure/batchstep.yml@batchstep", step
        given = {**step.get("parameters", {}), **replaced}
        declared = {parameter["name"]: parameter for parameter in TEMPLATE["parameters"]}
        assert set(given) <= set(declared), given
        values = {name: given.get(name, parameter["default"]) for name, parameter in declared.items()}
        for name, value in values.items():
            assert isinstance(value, str), f"{name} is not text"
            allowed = declared[name].get("values", [value])
            assert value in allowed, f"{name} is {value!r}, not one of {allowed}"
        expanded += expand(TEMPLATE["steps"], values)
    return expanded


def decoded(text):
    for escape, character in ESCAPES.items():
        text = text.replace(escape, character)
    return text


def outputs_of(log):
    """The output variables that a step sets."""
    outputs = {}
    for line in log.splitlines():
        found = COMMAND.search(line)
        if found:
            properties = dict(word.split("=", 1) for word in found[1].strip(";").split(";"))
            assert properties.get("isOutput") == "true", line
            outputs[properties["variable"]] = decoded(found[2])
    return outputs


class Run:
    """A run of a pipeline of the page: its jobs one after another, each in a new checkout."""

    def __init__(self, work, url=None, **replaced):
        self.work, self.base = work, work.parent
        connection = {"provider": "compatible", "baseUrl": url} if url else {"provider": "sandbox"}
        self.replaced = {"binary": str(lab.BATCHSTEP), **connection, **replaced}
        self.secrets = {"OPENAI_API_KEY": "x"}
        self.public, self.outputs, self.published, self.log = {}, {}, [], {}

    def pipeline(self, number):
        """Runs the jobs until one fails. Gives the last exit code."""
        for job in yaml.load(lab.pipelines("azure-pipelines.md")[number])["jobs"]:
            needed = [job["dependsOn"]] if isinstance(job.get("dependsOn"), str) else job.get("dependsOn", [])
            assert set(needed) <= set(self.log), f"{job['job']} is before what it depends on"
            code = self.server(job) if job.get("pool") == "server" else self.job(job, needed)
            if code != 0:
                return code
        return 0

    def server(self, job):
        """A job without an agent. It waits for the window and the time that an expired batch takes to end."""
        [step] = job["steps"]
        minutes = int(step["inputs"]["delayForMinutes"])
        assert step["task"] == "Delay@1" and 1470 <= minutes < int(job["timeoutInMinutes"]), job
        self.log[job["job"]] = ""
        time.sleep(1)  # Longer than a batch takes in the sandbox, unless a test says otherwise.
        return 0

    def job(self, job, needed):
        lab.remove(self.work)
        self.work.mkdir()
        (self.base / "agent").mkdir(exist_ok=True)
        variables = {"System.JobAttempt": "1", **self.secrets, **self.public}
        for name, value in job.get("variables", {}).items():
            found = OUTPUT.fullmatch(value)
            assert found and found[1] in needed, value
            variables[name] = self.outputs[found[1]].get(found[2], "")
        self.outputs[job["job"]], self.log[job["job"]] = {}, ""
        code = 0
        for step in steps_of(job["steps"], self.replaced):
            if "checkout" in step:
                (self.work / "requests.jsonl").write_text(lab.REQUESTS, encoding="utf-8")
            elif "task" in step:
                self.task(step, variables)
            elif code == 0:
                code = self.bash(step, job["job"], variables)
        return code

    def macros(self, text, variables):
        return re.sub(r"\$\(([\w.]+)\)", lambda found: variables.get(found[1], found[0]), text)

    def environment(self, step, variables):
        """The step's variables, and those of the pipeline that are not secret, which replace them."""
        named = {name: self.macros(value, variables) for name, value in step.get("env", {}).items()}
        public = {name.upper().replace(".", "_"): value
                  for name, value in variables.items() if name not in self.secrets}
        return {"TF_BUILD": "True", "AGENT_TEMPDIRECTORY": str(self.base / "agent"), **named, **public}

    def bash(self, step, job, variables):
        code, said = lab.shell(self.macros(step["bash"], variables), self.work, self.environment(step, variables),
                               ["bash", "--noprofile", "--norc"])
        for name, value in outputs_of(said).items():
            self.outputs[job][f"{step['name']}.{name}"] = value
            variables[f"{step['name']}.{name}"] = value
        self.log[job] += said
        return code

    def task(self, step, variables):
        """Keeps what a task would publish. Conditions are those that the template uses."""
        skipped = re.fullmatch(r"and\(succeededOrFailed\(\), ne\('(\w+)', 'submit'\)\)", step["condition"])
        assert skipped or step["condition"] == "always()", step
        inputs = {name: self.macros(value, variables) for name, value in step["inputs"].items()}
        if step["task"] == "PublishTestResults@2" and skipped[1] != "submit":
            tests = self.work / inputs["testResultsFiles"]
            self.published.append(("tests", tests.read_text("utf-8").count("<testcase") if tests.exists() else None))
        elif step["task"] == "PublishPipelineArtifact@1":
            assert (self.work / inputs["targetPath"]).is_dir(), f"there is no {inputs['targetPath']}"
            self.published.append((inputs["artifact"], sorted(os.listdir(self.work / inputs["targetPath"]))))


def names(published):
    return [name for name, _ in published]


def texts(node):
    """A document as Azure reads it, for which every scalar is text."""
    if isinstance(node, dict):
        return {key: texts(inner) for key, inner in node.items()}
    if isinstance(node, list):
        return [texts(inner) for inner in node]
    return str(node)


def the_schema_takes_the_template_and_the_pages():
    pages = [yaml.load(page) for page in lab.pipelines("azure-pipelines.md")]
    steps = [{"steps": steps_of(job["steps"], {})} for page in pages for job in page["jobs"]]
    lab.hold_against("azure-pipelines", [texts(document) for document in (TEMPLATE, *pages, *steps)])


def one_job_leaves_everything():
    with lab.sandbox() as url, lab.workspace() as work:
        run = Run(work, url)
        assert run.pipeline(ONE_JOB) == 0, run.log
        assert f"succeeded, {lab.COUNT} of {lab.COUNT} answered" in run.log["evaluate"], run.log["evaluate"]
        lab.complete(work / "batch-results")
        assert names(run.published) == ["tests", "batch-run-1"] and run.published[0][1] == lab.COUNT, run.published
        assert {"results.jsonl", "report.json", "journal.jsonl"} <= set(run.published[1][1]), run.published
        outputs = run.outputs["evaluate"]
        assert outputs["batch.BATCH_ID"] == lab.batches(url)[0]["id"], outputs
        [summary] = re.findall(r"##vso\[task\.uploadsummary\](/.*\.md)", run.log["evaluate"])
        with open(summary, encoding="utf-8") as file:
            assert "SIMULATED" in file.read()


def the_ids_reach_the_job_that_collects():
    with lab.sandbox() as url, lab.workspace() as work:
        run = Run(work, url)
        assert run.pipeline(LONG) == 0, run.log
        assert run.outputs["submit"]["batch.BATCH_OUTCOME"] == "pending", run.outputs
        assert run.outputs["collect"]["batch.BATCH_OUTCOME"] == "succeeded", run.outputs
        lab.complete(work / "batch-results")
        assert names(run.published) == ["batch-submit-1", "tests", "batch-collect-1"], run.published
        assert len(lab.batches(url)) == 1


def a_batch_that_is_running_fails_the_job_that_collects():
    with lab.sandbox("1h") as url, lab.workspace() as work:
        run = Run(work, url)
        assert run.pipeline(LONG) == 8, run.log
        assert names(run.published)[-1] == "batch-collect-1", run.published


def failures_keep_the_files():
    with lab.workspace() as work:
        run = Run(work)
        run.public = {"BATCHSTEP_FAULT": "rows status=500", "BATCHSTEP_RETRIES": "0"}
        assert run.pipeline(ONE_JOB) == 7, run.log
        assert run.published[0] == ("tests", lab.COUNT) and "results.jsonl" in run.published[1][1], run.published
    with lab.sandbox() as url, lab.workspace() as work:
        run = Run(work, url, apiKey="$(NO_SUCH_VARIABLE)")
        assert run.pipeline(ONE_JOB) == 4 and names(run.published) == ["tests", "batch-run-1"], run.log
        assert "You didn't provide an API key" in run.log["evaluate"], run.log


def hostile_text_is_not_executed():
    hostile = lab.HOSTILE + " $(Build.SourceVersionMessage)"
    with lab.workspace() as work:
        for name in ("requests", "apiKey", "baseUrl", "caFile", "timeout", "maxFailed", "maxCost", "prices",
                     "gate", "binary", "version", "installerSha256"):
            installs = {"binary": ""} if name in ("version", "installerSha256") else {}
            run = Run(work, **{**installs, name: hostile})
            run.public = {"Build.SourceVersionMessage": lab.HOSTILE, "BATCHSTEP_CSV": "true"}
            code = run.pipeline(ONE_JOB)
            assert code != 0 or name == "apiKey", f"{name}: {run.log}"
            if name != "gate":
                lab.untouched(work.parent)
            lab.remove(work)
        for name in ("command", "provider", "allowHttp", "failIfPending"):
            try:
                Run(work, **{name: hostile}).pipeline(ONE_JOB)
            except AssertionError as error:
                assert "not one of" in str(error), error
            else:
                raise AssertionError(f"{name} takes anything")


def the_removal_of_quotes_is_what_prevents_it():
    [_, step] = [step for step in TEMPLATE["steps"] if "bash" in step]
    script = step["bash"]
    step["bash"] = REMOVAL.sub(r"\1", script)
    assert step["bash"] != script
    try:
        with lab.workspace() as work:
            Run(work, baseUrl=lab.HOSTILE).pipeline(ONE_JOB)
            assert list(work.parent.rglob("pwned")), "a value in a script was not executed"
        with lab.workspace() as work:
            run = Run(work, baseUrl="$(Build.SourceVersionMessage)")
            run.public = {"Build.SourceVersionMessage": lab.HOSTILE}
            run.pipeline(ONE_JOB)
            assert list(work.parent.rglob("pwned")), "a macro in a script was not executed"
    finally:
        step["bash"] = script


def variables_of_the_run_change_nothing():
    with lab.sandbox() as url, lab.workspace() as work:
        run = Run(work, url)
        run.public = {
            "BATCHSTEP_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "BATCHSTEP_PROVIDER": "anthropic", "BATCHSTEP_GATE": "touch pwned", "BATCHSTEP_PRICES": "/dev/null",
            "BATCHSTEP_CA_FILE": "/dev/null", "BATCHSTEP_OUTPUT_DIR": "elsewhere", "BATCHSTEP_COMMAND": "cancel",
            "GITHUB_ACTIONS": "true", "INPUT_GATE": "touch pwned", "DRONE": "true", "PLUGIN_GATE": "touch pwned",
            "base_url": "http://127.0.0.1:9/v1", "gate": "touch pwned",
        }
        assert run.pipeline(ONE_JOB) == 0, run.log
        lab.untouched(work.parent)


def a_release_is_installed_if_its_hash_is_right():
    with lab.workspace() as work:
        path, sha256 = lab.release(work)
        for given, is_right in ((sha256, True), ("0" * 64, False), ("", False)):
            lab.remove(work.parent / "agent")
            run = Run(work, binary="", version="1.2.3", installerSha256=given)
            run.public = {"PATH": path}
            code = run.pipeline(ONE_JOB)
            assert (code == 0) == is_right and ("Created batch" in run.log["evaluate"]) == is_right, run.log


def sigint_cancels_the_batch():
    with lab.sandbox("1h") as url, lab.workspace() as work:
        run = Run(work, url)
        job = yaml.load(lab.pipelines("azure-pipelines.md")[ONE_JOB])["jobs"][0]
        install, step, *_ = [step for step in steps_of(job["steps"], run.replaced) if "bash" in step]
        (work.parent / "agent").mkdir()
        run.outputs["evaluate"], run.log["evaluate"] = {}, ""
        assert run.bash(install, "evaluate", run.secrets) == 0, run.log
        code, said = lab.ended_by(signal.SIGINT, os.kill, step["bash"], work, run.environment(step, run.secrets),
                                  ["bash", "--noprofile", "--norc"])
        assert code == 128 + signal.SIGINT, said
        lab.cancelled(url)


if __name__ == "__main__":
    lab.run([
        the_schema_takes_the_template_and_the_pages, one_job_leaves_everything, the_ids_reach_the_job_that_collects,
        a_batch_that_is_running_fails_the_job_that_collects, failures_keep_the_files, hostile_text_is_not_executed,
        the_removal_of_quotes_is_what_prevents_it, variables_of_the_run_change_nothing,
        a_release_is_installed_if_its_hash_is_right, sigint_cancels_the_batch,
    ])
