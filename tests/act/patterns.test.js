// Runs the examples that wait without a runner, as they are, with act: against a
// sandbox in a process of its own, and GitHub's API from github.js. Provider and
// address come from variables, so that no word of the examples is changed. act
// knows no environments: the wait timer's job begins at once, and waits itself.
'use strict';
const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const github = require('./github.js');

const COPY = process.env.ACTION_COPY;
const BINARY = path.join(COPY, 'dist', 'bin', 'x86_64-unknown-linux-musl', 'batchstep');
const TOKEN = 'ghs_0123456789abcdefghijklmnopqrstuvwxyz';
const UPLOAD = 'actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f';
const [HEAD, OTHER] = ['a'.repeat(40), 'd'.repeat(40)];

let work;
let sandbox;
let api;

/** A repository of a user's, and a stand-in for the action that uploads artifacts: it shows what it would take. */
function prepare() {
  work = fs.mkdtempSync(path.join(os.tmpdir(), 'patterns-'));
  for (const name of ['repo', 'upload', 'home']) fs.mkdirSync(path.join(work, name));
  fs.copyFileSync(path.join(COPY, 'examples', 'requests.jsonl'), path.join(work, 'repo', 'requests.jsonl'));
  const upload = 'name: upload\ndescription: shows\ninputs: { name: {}, path: {}, if-no-files-found: {} }\nruns:\n  using: composite\n  steps:\n'
    + '    - shell: bash\n      run: if [ -d "$WHERE" ]; then find "$WHERE" -name "*.jsonl" -exec wc -l {} +; fi\n      env: { WHERE: "${{ inputs.path }}" }\n';
  fs.writeFileSync(path.join(work, 'upload', 'action.yml'), upload);
  for (const name of ['repo', 'upload']) {
    const git = (...args) => execFileSync('git', ['-C', path.join(work, name), '-c', 'user.name=ci', '-c', 'user.email=ci@localhost', ...args]);
    git('init', '--quiet', '--initial-branch', 'main');
    git('add', '--all');
    git('commit', '--quiet', '--message', 'requests');
    git('remote', 'add', 'origin', 'https://github.com/octo/repo');
  }
}

/** Starts a sandbox; resolves to its address. */
async function serveSandbox() {
  const child = spawn(BINARY, ['sandbox', '--port', '0', '--takes', '8s'], { stdio: ['ignore', 'ignore', 'pipe'], env: {} });
  sandbox = { child };
  for await (const chunk of child.stderr) {
    const found = String(chunk).match(/http:\/\/[\d.:]+\/v1/);
    if (found) return found[0];
  }
  throw new Error('the sandbox did not start');
}

before(async () => {
  prepare();
  sandbox = Object.assign({ url: await serveSandbox() }, sandbox);
  api = await github.serve({ token: TOKEN, pulls: [] });
});

after(() => {
  sandbox?.child.kill();
  api?.server.close();
  fs.rmSync(work, { recursive: true, force: true });
});

/** Runs an example on an event; resolves to the log's records. */
async function act(example, event, payload = {}, expected = 0) {
  const file = path.join(work, 'event.json');
  fs.writeFileSync(file, JSON.stringify(payload));
  const env = { GITHUB_API_URL: api.url, BATCHSTEP_PROVIDER: 'sandbox', BATCHSTEP_BASE_URL: sandbox.url, BATCHSTEP_POLL_INTERVAL: '200ms' };
  const args = [
    event, '-W', path.join(COPY, 'examples', 'workflows', example), '-e', file, '--json', '-P', 'ubuntu-latest=-self-hosted',
    '--no-cache-server', '--artifact-server-addr', '127.0.0.1',
    '--local-repository', `batchstep/batchstep@v1=${COPY}`, '--local-repository', `${UPLOAD}=${path.join(work, 'upload')}`,
    '-s', 'OPENAI_API_KEY=sk-this-is-for-the-sandbox', '-s', `GITHUB_TOKEN=${TOKEN}`,
    ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
  ];
  const home = path.join(work, 'home');
  const known = { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: path.join(home, 'cache'), XDG_CONFIG_HOME: home };
  const child = spawn('act', args, { cwd: path.join(work, 'repo'), env: known, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, errors] = ['', ''];
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(status, expected, out + errors);
  return out.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
}

const text = (records) => records.map((record) => record.msg).join('\n');
const output = (records, name) => records.filter((record) => record.command === 'set-output' && record.name === name).at(-1)?.arg;
const pull = (number, sha) => ({ pull_request: { number, head: { sha } } });

async function tally() {
  const response = await fetch(`${sandbox.url.replace('/v1', '')}/sandbox/tally`);
  return response.json();
}

test('submit, and collect in another job', async () => {
  const before = (await tally()).creates;
  const records = await act('submit-collect.yml', 'workflow_dispatch');
  const of = (job) => records.filter((record) => record.jobID === job);
  for (const job of ['submit', 'collect']) assert.ok(of(job).some((record) => record.jobResult === 'success'), job);
  assert.equal(output(of('submit'), 'outcome'), 'pending');
  assert.equal(output(of('collect'), 'outcome'), 'succeeded');
  assert.equal(output(of('collect'), 'batch-ids'), output(of('submit'), 'batch-ids'));
  assert.match(text(of('collect')), /\b8 batch-results\/results\.jsonl/);
  assert.equal((await tally()).creates, before + 1);
});

test('the ledger: submit on pull requests, collect on a schedule', async () => {
  const before = (await tally()).creates;
  fs.appendFileSync(path.join(work, 'repo', 'requests.jsonl'), fs.readFileSync(path.join(COPY, 'examples', 'requests.jsonl'), 'utf8').split('\n')[0].replace(/"custom_id": *"[^"]*"/, '"custom_id":"one-more"') + '\n');
  api.pulls.push({ number: 7, sha: HEAD }, { number: 8, sha: OTHER });
  const first = await act('ledger.yml', 'pull_request', pull(7, HEAD));
  await act('ledger.yml', 'pull_request', pull(8, OTHER));
  assert.deepEqual(api.state.checks.map((check) => [check.head_sha, check.status]), [[HEAD, 'in_progress'], [OTHER, 'in_progress']]);
  const ids = JSON.parse(output(first, 'batch-ids'));

  // The batch takes eight seconds: at the latest the second tick after those finds it over.
  let runs = [];
  for (let ticks = 0; ticks < 10 && !runs.some((run) => run.outcome === 'succeeded'); ticks++) {
    await sleep(2000);
    runs = JSON.parse(output(await act('collect-pending.yml', 'schedule'), 'runs'));
  }
  assert.equal(runs.length, 1);
  assert.deepEqual([runs[0].outcome, runs[0].simulated, runs[0].batch_ids, runs[0].pull_requests], ['succeeded', true, ids, [7, 8]]);
  assert.deepEqual(api.state.checks.map((check) => check.conclusion), ['success', 'success']);
  assert.deepEqual(api.state.comments.map((comment) => comment.issue), ['7', '8']);
  for (const comment of api.state.comments) assert.match(comment.body, /SIMULATED[^]*All \d+ answered/);

  // A push that leaves the requests as they are costs nothing, and its check does not hang.
  const [downloads, later] = [(await tally()).calls.content, 'e'.repeat(40)];
  api.pulls[0].sha = later;
  await act('ledger.yml', 'pull_request', pull(7, later));
  const last = await act('collect-pending.yml', 'schedule');
  assert.deepEqual(JSON.parse(output(last, 'runs')).map((run) => run.outcome), ['succeeded']);
  assert.deepEqual(api.state.checks.map((check) => check.conclusion), ['success', 'success', 'success']);
  assert.match(text(last), new RegExp(`\\b9 batch-results/${runs[0].key.slice(0, 12)}/results\\.jsonl`));
  assert.ok((await tally()).calls.content > downloads);
  assert.equal((await tally()).creates, before + 1);
  assert.doesNotMatch(text(last), new RegExp(TOKEN));
});
