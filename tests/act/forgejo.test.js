// The workflow of docs/ci/forgejo.md under act, from which the runners of Forgejo and Gitea
// descend, with their variables. act takes no host in `uses`, so the hosts are cut off.
'use strict';
const assert = require('node:assert/strict');
const { test } = require('node:test');
const { launch, text } = require('./lab.js');
const { KEY, blocks, jobs, output, repository } = require('./repository.js');

test('the workflow for Forgejo and Gitea checks, runs, detaches and continues', async (t) => {
  const [workflow, ...others] = blocks('forgejo.md');
  assert.deepEqual(others, []);
  const hosts = /(?<=uses: )https:\/\/[^/]+\//g;
  assert.equal(workflow.match(hosts).length, workflow.match(/uses: /g).length);
  const here = workflow.replaceAll(hosts, '');
  const sandbox = await launch({ takes: '6s' });
  t.after(sandbox.stop);
  const octo = repository({ FORGEJO_ACTIONS: 'true', GITEA_ACTIONS: 'true', BATCHSTEP_BASE_URL: sandbox.url, BATCHSTEP_POLL_INTERVAL: '200ms' });
  t.after(octo.remove);

  const checked = await octo.act(here, 'pull_request', { payload: { pull_request: { number: 7 } } });
  assert.deepEqual(jobs(checked), ['check']);
  assert.equal(output(checked, 'outcome'), 'succeeded');
  assert.ok(!JSON.stringify(checked).includes(KEY));
  assert.deepEqual((await sandbox.tally()).calls, {});

  const late = await octo.act(here.replace('timeout: 2h30m', 'timeout: 2s'), 'push');
  assert.deepEqual(jobs(late), ['batch']);
  assert.equal(output(late, 'outcome'), 'detached');
  const continued = await octo.act(here, 'workflow_dispatch');
  assert.equal(output(continued, 'outcome'), 'succeeded');
  assert.match(text(continued), /artifact batch-results[^]*\b8 batch-results\/results\.jsonl/);
  const { creates, batches } = await sandbox.tally();
  assert.deepEqual([creates, batches.map(({ status }) => status)], [1, ['completed']]);
});
