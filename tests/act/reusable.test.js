// The reusable workflow as other repositories call it, under act: against a sandbox in a
// process of its own, and GitHub's API from github.js. The workflows of docs/ci/github.md
// and examples/workflows/reusable.yml run as they are; others call it with more inputs.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const github = require('./github.js');
const { COPY, commands, exitCode, launch, of, text } = require('./lab.js');
const { KEY, TOKEN, VERSION, blocks, jobs, output, repository } = require('./repository.js');
const { declared, row, table } = require('./reusable.js');

const read = (file) => fs.readFileSync(path.join(COPY, file), 'utf8');
const WORKFLOW = read('.github/workflows/batch.yml');
const PAGE = read('docs/ci/github.md');
const EXAMPLE = path.join(COPY, 'examples', 'workflows', 'reusable.yml');
const [SHORT, LONG] = blocks('github.md');
const HEAD = 'a'.repeat(40);
const PULL = { pull_request: { number: 7, head: { sha: HEAD } } };
const PAYING = ['push', 'workflow_dispatch', 'repository_dispatch', 'release'];
const CHECKING = ['pull_request', 'pull_request_target', 'merge_group', 'issue_comment', 'workflow_run'];

let sandbox;
let api;
let octo;

before(async () => {
  sandbox = await launch({ takes: '1s' });
  api = await github.serve({ token: TOKEN, pulls: [{ number: 7, sha: HEAD }] });
  octo = repository({ GITHUB_API_URL: api.url, BATCHSTEP_BASE_URL: sandbox.url, BATCHSTEP_POLL_INTERVAL: '200ms' });
});

after(() => {
  sandbox?.stop();
  api?.server.close();
  octo?.remove();
});

/** A workflow that calls ours with these inputs, and prints our outputs in a job of its own. */
const caller = (inputs) => `${JSON.stringify({
  on: [...PAYING, ...CHECKING, 'schedule'],
  jobs: {
    batch: {
      uses: 'batchstep/batchstep/.github/workflows/batch.yml@v1',
      with: { 'max-cost': 5, ...inputs },
      secrets: { 'api-key': '${{ secrets.OPENAI_API_KEY }}' },
    },
    after: {
      'needs': 'batch', 'if': 'always()', 'runs-on': 'ubuntu-latest',
      'steps': [{ run: 'printf "outputs %s\\n" "$(tr -d "\\n" <<<"$ALL")"', env: { ALL: '${{ toJSON(needs.batch.outputs) }}' } }],
    },
  },
})}\n`;

const job = (records, id) => records.filter((record) => record.jobID === id);
const outputs = (records) => JSON.parse(job(records, 'after').map(({ msg }) => /^outputs (.*)/.exec(msg)?.[1]).find(Boolean));
const creates = async () => (await sandbox.tally()).creates;

/** Requests that no other test has sent, so that they are paid for. */
let made = 0;
function newRequests() {
  const line = fs.readFileSync(path.join(COPY, 'examples', 'requests.jsonl'), 'utf8').split('\n')[0];
  fs.writeFileSync(octo.requests, `${line.replace(/"custom_id": *"[^"]*"/, `"custom_id":"new-${++made}"`)}\n`);
}

test('a pull request is checked, and no key is near', async () => {
  for (const workflow of [EXAMPLE, SHORT]) {
    const records = await octo.act(workflow, 'pull_request', { payload: PULL });
    assert.deepEqual(jobs(records), ['check']);
    assert.equal(output(records, 'outcome'), 'succeeded');
    assert.match(output(records, 'estimated-cost-usd'), /^0\.0\d+$/);
    assert.ok(!JSON.stringify(records).includes(KEY));
    assert.deepEqual(commands(records, 'add-mask').filter(({ arg }) => arg === KEY), []);
  }
  assert.deepEqual((await sandbox.tally()).calls, {});
});

test('faults of a pull request are annotated on their lines, and fail it', async () => {
  newRequests();
  fs.appendFileSync(octo.requests, '{"custom_id":"a"}\n');
  const records = await octo.act(caller({}), 'pull_request', { payload: PULL, expected: 1 });
  const step = of(records, 'check', 'check');
  assert.equal(exitCode(step), 3);
  const faults = commands(step, 'error').map(({ kvPairs }) => [kvPairs.file, kvPairs.line]);
  assert.ok(faults.length > 0);
  for (const fault of faults) assert.deepEqual(fault, ['requests.jsonl', '2']);
  assert.equal(output(records, 'outcome'), 'invalid');
});

test('a push runs the requests within the budget; the same again costs nothing', async () => {
  newRequests();
  const paid = await creates();
  for (const workflow of [EXAMPLE, SHORT]) {
    const records = await octo.act(workflow, 'push');
    assert.deepEqual(jobs(records), ['batch']);
    assert.equal(output(records, 'outcome'), 'succeeded');
    assert.match(text(records), /artifact batch-results[^]*\b1 batch-results\/results\.jsonl/);
    assert.match(commands(records, 'summary')[0].content, /Budget: &#36;5\.00/);
    assert.equal(await creates(), paid + 1);
  }
});

test('inputs reach the action, and its outputs the caller', async () => {
  newRequests();
  const paid = await creates();
  const inputs = { 'mode': 'run', 'reuse': 'never', 'max-cost': 2.5, 'max-failed': '3', 'csv': true, 'artifact': 'mine', 'requests': 'req*.jsonl' };
  const records = await octo.act(caller(inputs), 'push');
  const { 'batch-ids': ids, ...rest } = outputs(records);
  assert.equal(JSON.parse(ids).length, 1);
  assert.deepEqual(rest, {
    'outcome': 'succeeded', 'detached': 'false', 'total': '1', 'succeeded': '1', 'failed': '0', 'missing': '0', 'suspect': '0',
    'cost-usd': '', 'estimated-cost-usd': '', 'runs': '',
  });
  const [{ content }] = commands(records, 'summary');
  assert.match(content, /Budget: &#36;2\.50[^]*`max-failed` is `3`/);
  assert.match(text(records), /artifact mine[^]*batch-results\/answers\.jsonl/);
  assert.deepEqual(api.state.calls, []);
  await octo.act(caller(inputs), 'push');
  assert.equal(await creates(), paid + 2);
});

test('an empty budget sends nothing', async () => {
  newRequests();
  const paid = await creates();
  const records = await octo.act(caller({ 'max-cost': '${{ vars.NOT_SET }}' }), 'push', { expected: 1 });
  assert.equal(exitCode(of(records, 'batch', 'batch')), 4);
  assert.equal(output(records, 'outcome'), 'refused');
  assert.equal(await creates(), paid);
});

test('each event does what the page says', async () => {
  const paying = table(PAGE, 'What happens')[0][0];
  assert.deepEqual(paying, PAYING.map((event) => `\`${event}\``).join(', '));
  newRequests();
  for (const event of CHECKING) assert.deepEqual(jobs(await octo.act(caller({}), event, { payload: PULL })), ['check'], event);
  const paid = await creates();
  for (const event of PAYING) assert.deepEqual(jobs(await octo.act(caller({}), event)), ['batch'], event);
  assert.equal(await creates(), paid + 1);
});

test('without secrets forks and Dependabot are skipped, and nobody else is', async () => {
  newRequests();
  const paid = await creates();
  const run = (event, options) => octo.act(caller({ mode: 'run' }), event, { secrets: {}, ...options });
  const fork = { pull_request: { number: 8, head: { sha: HEAD, repo: { fork: true } } } };
  assert.equal(outputs(await run('pull_request', { payload: fork })).outcome, 'skipped');
  assert.equal(outputs(await run('push', { actor: 'dependabot[bot]' })).outcome, 'skipped');
  assert.equal(output(await run('push', { expected: 1 }), 'outcome'), 'usage');
  assert.equal(await creates(), paid);
});

test('a mode that the workflow does not have fails before anything else', async () => {
  for (const mode of ['sandbox', 'all']) {
    const records = await octo.act(caller({ mode }), 'push', { expected: 1 });
    assert.match(commands(records, 'error')[0].arg, /^The input mode has to be/);
    assert.deepEqual(of(records, 'batch', 'batch'), [], mode);
  }
});

test('a push submits, and the schedule collects and concludes the check', async () => {
  newRequests();
  const paid = await creates();
  const submitted = await octo.act(LONG.replace('2%', '3'), 'push');
  assert.equal(output(submitted, 'outcome'), 'pending');
  assert.deepEqual(api.state.checks.map(({ status }) => status), ['in_progress']);
  let runs = [];
  for (let ticks = 0; ticks < 10 && runs.length === 0; ticks++) {
    await sleep(1000);
    const records = await octo.act(LONG, 'schedule');
    assert.deepEqual(jobs(records), ['batch']);
    runs = JSON.parse(output(records, 'runs'));
  }
  assert.deepEqual(runs.map((run) => [run.outcome, run.batch_ids]), [['succeeded', JSON.parse(output(submitted, 'batch-ids'))]]);
  assert.deepEqual(api.state.checks.map(({ conclusion }) => conclusion), ['success']);
  // What the submission said holds, not what the workflow says by now.
  assert.match(JSON.stringify(api.state.checks[0].output), /`max-failed` is `3`/);
  assert.equal(await creates(), paid + 1);

  // Named batches are collected too, by what was sent: the file is another one by now.
  newRequests();
  const named = await octo.act(caller({ 'mode': 'collect', 'batch-ids': output(submitted, 'batch-ids') }), 'workflow_dispatch');
  const { outcome, total } = outputs(named);
  assert.deepEqual([outcome, total], ['succeeded', '1']);
});

test('a run on a pull request keeps the comment', async () => {
  newRequests();
  await octo.act(caller({ mode: 'run' }), 'pull_request', { payload: PULL });
  assert.deepEqual(api.state.comments.map(({ issue }) => issue), ['7']);
  assert.match(api.state.comments[0].body, /SIMULATED · The request was answered/);
  const [checks, { body }] = [api.state.checks.length, api.state.comments[0]];
  await octo.act(caller({ 'mode': 'run', 'comment': false, 'check-run': true, 'reuse': 'never' }), 'pull_request', { payload: PULL });
  assert.deepEqual(api.state.comments.map((comment) => comment.body), [body]);
  assert.equal(api.state.checks.length, checks + 1);
});

test('the page lists the inputs, secrets and outputs of the workflow', () => {
  const inputs = declared(WORKFLOW, 'inputs');
  assert.deepEqual(table(PAGE, 'Inputs'), Object.entries(inputs).map(([name, entry]) => row(name, entry)));
  for (const [heading, section] of [['Secrets', 'secrets'], ['Outputs', 'outputs']]) {
    const entries = Object.entries(declared(WORKFLOW, section));
    assert.deepEqual(table(PAGE, heading), entries.map(([name, { description }]) => [`\`${name}\``, description]));
  }
  const used = (context) => [...new Set([...WORKFLOW.matchAll(new RegExp(`\\b${context}\\.([\\w-]+)`, 'g'))].map(([, name]) => name))].sort();
  assert.deepEqual(used('inputs'), Object.keys(inputs).sort());
  assert.deepEqual(used('secrets'), Object.keys(declared(WORKFLOW, 'secrets')).sort());
});

test('the workflow gives away no more than it has to', () => {
  const [, check, batch] = /\n {2}check:\n([^]*)\n {2}batch:\n([^]*)$/.exec(WORKFLOW);
  assert.match(check, /\n {4}permissions:\n {6}contents: read #.*\n {4}outputs:/);
  assert.doesNotMatch(check, /secrets\./);
  assert.doesNotMatch(WORKFLOW, /^ *(concurrency|cancel-in-progress):/m);
  assert.doesNotMatch(batch, /permissions:/);
  // Every step that is not ours is pinned to a commit, ours to the tag of this version.
  const actions = [...WORKFLOW.matchAll(/uses: (\S+)@(\S+)/g)].map(([, name, ref]) => [name, ref]);
  assert.ok(actions.length >= 5);
  for (const [name, ref] of actions) assert.match(ref, name === 'batchstep/batchstep' ? new RegExp(`^v${VERSION}$`) : /^[0-9a-f]{40}$/, name);
});
