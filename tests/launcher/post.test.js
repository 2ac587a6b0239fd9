// The step after the job: it cancels only what main left behind, says so if it
// cannot, and never fails the job.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const lab = require('./lab.js');

const armed = { STATE_armed: 'true', STATE_create: '0b9ff0f4-c0de' };
// The inputs are another step's: nothing in them is believed.
const others = { 'INPUT_BINARY-PATH': '/none', 'INPUT_BATCH-ID': 'batch_of_others', INPUT_PENDING: 'true', INPUT_COMMAND: 'run' };
const given = (body) => ({ ...others, STATE_binary: lab.script(body) });

/** Runs post.js with a summary file; its result and what the summary says then. */
async function post(env, action = lab.launcher()) {
  const file = lab.write(path.join(action.dir, 'summary'), '');
  const result = await action.launch({ GITHUB_STEP_SUMMARY: file, ...env }, 'post.js');
  assert.deepEqual([result.code, result.err], [0, ''], result.out);
  return { ...result, summary: fs.readFileSync(file, 'utf8') };
}

describe('post', { concurrency: 4, timeout: 120_000 }, () => {
  test('does nothing unless it is armed, not even look for the binary', async () => {
    for (const state of [{}, { STATE_armed: 'false', STATE_create: 'x' }, { STATE_armed: '', STATE_create: 'x' }]) {
      const result = await post({ ...given('echo ran'), ...state });
      assert.deepEqual([result.out, result.summary], ['', '']);
      assert.equal((await post({ STATE_binary: '/none', ...state })).out, '');
    }
  });

  test('has the binary that main ran cancel what the state names, with a limit', async () => {
    const binary = given('for word; do echo "[$word]"; done; echo "$STATE_create $STATE_batch $INPUT_API_KEY"');
    const result = await post({ ...binary, ...armed, STATE_batch: 'batch_1', 'INPUT_API-KEY': 'short' });
    assert.equal(result.out, '[cancel]\n[--from-state]\n[--timeout=60s]\n0b9ff0f4-c0de batch_1 short\n');
    assert.equal(result.summary, '');
  });

  test('a check that nobody concluded is a reason, and no batch then', async () => {
    const check = { STATE_armed: 'false', STATE_batch: 'batch_1', STATE_check: '7' };
    assert.equal((await post({ ...given('echo "$*"'), ...check })).out, 'cancel --from-state --timeout=60s\n');
    const failed = await post({ ...given('exit 4'), ...check });
    assert.equal(failed.out, '::error title=batchstep::Check 7 of a run that is gone could not be concluded. Cancelling ended with exit code 4.\n');
  });

  test('masks first here as well', async () => {
    const result = await post({ ...given('echo "$1"'), ...armed, 'INPUT_API-KEY': 'sk-long-enough' });
    assert.equal(result.out, '::add-mask::sk-long-enough\ncancel\n');
  });

  test('a cancel that fails is an error and a line of the summary, and no more', async () => {
    const result = await post({ ...given('exit 4'), ...armed });
    assert.match(result.out, /^::error title=batchstep::A batch of this job may still run and cost money: .*batchstep_create = 0b9ff0f4-c0de\. Cancelling ended with exit code 4\.\n$/);
    assert.match(result.summary, /^\*\*batchstep:\*\* A batch of this job may still run .*0b9ff0f4-c0de\.\n$/);
    const killed = await post({ ...given('kill -9 $$'), ...armed });
    assert.match(killed.out, /exit code 137/);
  });

  test('a missing binary and a missing mark are reported in the same way', async () => {
    assert.match((await post({ ...armed, ...others, STATE_binary: '/none' })).out, /may still run .* \/none cannot be run: there is no such file\.\n$/);
    const markless = await post({ ...given('echo ran'), STATE_armed: 'true' });
    assert.match(markless.out, /^::error .*batchstep_create = unknown\. The mark of the batch is not known\.\n$/);
    const blind = await post({ ...given('exit 4'), ...armed, GITHUB_STEP_SUMMARY: '' });
    assert.match(blind.out, /^::error .*exit code 4\.\n$/);
  });

  test('the message says where to look, and where the batch is', async () => {
    const state = { STATE_base_url: 'https://gateway.example/v1', STATE_batch: 'batch_1' };
    assert.match((await post({ ...given('exit 2'), ...armed, ...state })).summary, /Look at the provider at https:\/\/gateway\.example\/v1 for the one batch_1, or with/);
  });

  test("uses main's download", async (t) => {
    lab.certificates();
    const { bytes, entry } = lab.release('echo "ran: [$*]"');
    const server = await lab.serve(t, (_, response) => response.end(bytes));
    const action = lab.releasing(server.url, entry);
    await action.launch();
    for (const binary of ['', '/gone-since-then']) {
      const result = await post({ ...armed, ...others, STATE_binary: binary }, action);
      assert.equal(result.out, 'ran: [cancel --from-state --timeout=60s]\n');
    }
    assert.equal(server.asked.length, 1);
  });
});
