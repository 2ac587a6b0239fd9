// What the tests of this directory share: act, a runner that is not ours, and a
// look into its log.
'use strict';
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');

const COPY = process.env.ACTION_COPY;
const BINARY = path.join(COPY ?? '', 'dist', 'bin', 'x86_64-unknown-linux-musl', 'batchstep');

/** Runs a workflow of this directory, or one that is given as an object: `end` is the log's records, in order. */
function start(workflow, { cwd = COPY, expected = 0, args = [] } = {}) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'act-'));
  const known = { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: path.join(home, 'cache'), XDG_CONFIG_HOME: home };
  const runner = ['-P', 'ubuntu-latest=-self-hosted', '--no-cache-server', '--artifact-server-addr', '127.0.0.1'];
  const given = typeof workflow === 'object';
  const file = given ? path.join(home, 'workflow.yml') : path.join(COPY, 'tests', 'act', workflow);
  // YAML takes JSON as it is.
  if (given) fs.writeFileSync(file, JSON.stringify(workflow));
  const child = spawn('act', ['push', '-W', file, '--json', ...runner, ...args], { cwd, env: known, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = ended(child).then(({ out, all, code }) => {
    fs.rmSync(home, { recursive: true, force: true });
    assert.equal(code, expected, all);
    const lines = out.split('\n').filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line));
  });
  return { child, end };
}

/** The same for a workflow that is only waited for. */
const act = (workflow, options) => start(workflow, options).end;

/** What a child printed, and its exit code. */
function ended(child) {
  const said = { out: '', all: '' };
  child.stdout.on('data', (text) => ((said.out += text), (said.all += text)));
  child.stderr.on('data', (text) => (said.all += text));
  return new Promise((resolve, reject) => child.on('error', reject).on('close', (code) => resolve({ ...said, code })));
}

/** Starts a sandbox: its address, what it was asked, and how to end it. */
async function launch({ takes = '1m', faults = [] } = {}) {
  const args = ['sandbox', '--port', '0', '--takes', takes, ...faults.flatMap((fault) => ['--fault', fault])];
  const child = spawn(BINARY, args, { env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  for await (const chunk of child.stderr) if ((said += chunk).includes('\n')) break;
  const url = /http:\S+/.exec(said)[0];
  const tally = async () => (await fetch(new URL('/sandbox/tally', url))).json();
  const until = async (holds) => {
    while (!holds(await tally())) await sleep(50);
  };
  return { stop: () => child.kill('SIGKILL'), tally, until, url };
}

/** A sandbox for as long as the test runs. */
async function serve(t, ...faults) {
  const sandbox = await launch({ faults });
  t.after(sandbox.stop);
  return sandbox;
}

/** The records of one step in one stage of a job. */
const of = (records, job, id, stage = 'Main') =>
  records.filter((record) => record.jobID === job && record.stepID?.[0] === id && record.stage === stage);

const text = (records) => records.map((record) => record.msg).join('\n');
const printed = (records, line) => assert.ok(records.some((record) => record.raw_output && record.msg === `${line}\n`), line);
const commands = (records, name) => records.filter((record) => record.command === name);
const passed = (records, job) => assert.ok(records.some((record) => record.jobID === job && record.jobResult === 'success'), job);

/** The exit code as the runner saw it. */
function exitCode(records) {
  const code = text(records).match(/exit status (\d+)/);
  return code ? Number(code[1]) : 0;
}

module.exports = { COPY, act, commands, exitCode, launch, of, passed, printed, serve, start, text };
