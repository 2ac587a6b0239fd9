// Runs the workflows of this directory with act, a runner that is not ours, and
// asserts on its log. Called by .ci/action, which prepares a copy of the
// repository with the binary in it and names it in ACTION_COPY.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { COPY, act, commands, exitCode, of, passed, printed, text } = require('./lab.js');

test('uses: ./', async () => {
  const records = await act('local.yml');
  passed(records, 'succeeds');
  passed(records, 'fails');
  printed(records, 'outputs are as expected');
  printed(records, 'failures are as expected');

  const run = of(records, 'succeeds', 'batch');
  assert.equal(exitCode(run), 0);
  const first = run.filter((record) => record.command || record.raw_output).slice(0, 2);
  assert.deepEqual(first.map((record) => [record.command, record.arg]), [['add-mask', 'sk-this-is-to-be-masked'], ['add-mask', 'this-too-is-masked']]);
  assert.doesNotMatch(text(run), /to-be-masked|this-too/);
  assert.match(text(run), /SIMULATED/);
  assert.equal(commands(run, 'notice').length, 1);
  assert.equal(commands(run, 'error').length, 0);
  const outputs = Object.fromEntries(commands(run, 'set-output').map((record) => [record.name, record.arg]));
  assert.equal(outputs.outcome, 'succeeded');
  const summary = run.filter((record) => record.command === 'summary').map((record) => record.content);
  assert.equal(summary.length, 1);
  assert.match(summary[0], /SIMULATED/);

  const faults = commands(of(records, 'fails', 'invalid'), 'error');
  assert.ok(faults.some(({ kvPairs }) => kvPairs.file === 'invalid.jsonl' && kvPairs.line === '1'), JSON.stringify(faults));

  // Every run came to an orderly end: post runs, and has nothing to do.
  for (const [job, step] of [['succeeds', 'batch'], ...['usage', 'invalid', 'rows', 'allowed', 'late', 'check'].map((step) => ['fails', step])]) {
    const post = of(records, job, step, 'Post');
    assert.ok(post.some((record) => record.stepResult === 'success'), step);
    assert.deepEqual(post.filter((record) => record.command || record.raw_output), [], step);
  }
});

test('uses: batchstep/batchstep@v1', async () => {
  const elsewhere = fs.mkdtempSync(path.join(os.tmpdir(), 'elsewhere-'));
  try {
    const records = await act('remote.yml', { cwd: elsewhere, args: ['--local-repository', `batchstep/batchstep@v1=${COPY}`] });
    passed(records, 'remote');
    printed(records, 'outputs are as expected');
    assert.equal(exitCode(of(records, 'remote', 'batch')), 0);
    assert.ok(of(records, 'remote', 'batch', 'Post').some((record) => record.stepResult === 'success'));
  } finally {
    fs.rmSync(elsewhere, { recursive: true, force: true });
  }
});

test('exit codes are the step\'s, and post cancels what a killed run left', async () => {
  const records = await act('exits.yml', { expected: 1 });
  const steps = { usage: ['1', 2], invalid: ['2', 3], refused: ['1', 4], rows: ['1', 7], killed: ['1', 137] };
  for (const [job, [step, code]] of Object.entries(steps)) {
    assert.equal(exitCode(of(records, job, step)), code, job);
    assert.ok(records.some((record) => record.jobID === job && record.jobResult === 'failure'), job);
  }
  const post = of(records, 'killed', '1', 'Post');
  assert.match(text(post), /post asks: cancel --from-state --timeout=60s for the-mark/);
  assert.equal(commands(post, 'error').length, 0);
  const place = (id, stage) => records.indexOf(of(records, 'killed', id, stage).at(-1));
  assert.ok(place('1', 'Post') > place('2', 'Main') && place('2', 'Main') > 0, 'post comes after the last step');
});

test('post says so if it cannot cancel, and fails nothing', async () => {
  const records = await act('post.yml');
  passed(records, 'hopeless');
  const post = of(records, 'hopeless', '1', 'Post');
  assert.match(commands(post, 'error')[0].arg, /^A batch of this job may still run .*batchstep_create = the-mark\. Cancelling ended with exit code 4\.$/);
  assert.ok(post.some((record) => record.command === 'summary' && record.content.includes('the-mark')));
  assert.ok(post.some((record) => record.stepResult === 'success'));
});
