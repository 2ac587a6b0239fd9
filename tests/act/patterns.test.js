// Runs the examples that wait without a runner, as they are, with act: against a
// sandbox in a process of its own, and GitHub's API from github.js. Provider and
// address come from variables, so that no word of the examples is changed. act
// knows no environments: the wait timer's job begins at once, and waits itself.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const github = require('./github.js');
const { COPY, launch, text } = require('./lab.js');
const { TOKEN, output, repository } = require('./repository.js');

const [HEAD, OTHER] = ['a'.repeat(40), 'd'.repeat(40)];

let octo;
let sandbox;
let api;

before(async () => {
  sandbox = await launch({ takes: '8s' });
  api = await github.serve({ token: TOKEN, pulls: [] });
  octo = repository({ GITHUB_API_URL: api.url, BATCHSTEP_PROVIDER: 'sandbox', BATCHSTEP_BASE_URL: sandbox.url, BATCHSTEP_POLL_INTERVAL: '200ms' });
});

after(() => {
  sandbox?.stop();
  api?.server.close();
  octo?.remove();
});

/** Runs an example on an event; resolves to the log's records. */
const act = (example, event, payload) => octo.act(path.join(COPY, 'examples', 'workflows', example), event, { payload });

const pull = (number, sha) => ({ pull_request: { number, head: { sha } } });

const tally = () => sandbox.tally();

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
  fs.appendFileSync(octo.requests, fs.readFileSync(path.join(COPY, 'examples', 'requests.jsonl'), 'utf8').split('\n')[0].replace(/"custom_id": *"[^"]*"/, '"custom_id":"one-more"') + '\n');
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
