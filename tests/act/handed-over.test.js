// What a run hands over on purpose goes on after `post`, under a runner that is not ours.
'use strict';
const assert = require('node:assert/strict');
const { test } = require('node:test');
const { act, of, passed, serve, text } = require('./lab.js');

test('post leaves alone what was handed over, one batch and several', async (t) => {
  const sandbox = await serve(t);
  const records = await act('handed-over.yml', { args: ['--env', `BASE_URL=${sandbox.url}`] });
  passed(records, 'handed-over');
  for (const step of ['late', 'several', 'submitted']) {
    const post = of(records, 'handed-over', step, 'Post');
    assert.ok(post.some((record) => record.stepResult === 'success'), step);
    assert.deepEqual(post.filter((record) => record.command || record.raw_output), [], text(post));
  }
  const { batches, calls } = await sandbox.tally();
  assert.equal(calls.cancel ?? 0, 0);
  assert.equal(batches.length, 5);
  for (const { status } of batches) assert.ok(['validating', 'in_progress'].includes(status), status);
});
