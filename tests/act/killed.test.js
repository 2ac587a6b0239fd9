// The real binary does not come to its end: what post does then, under a runner
// that is not ours, with the sandbox in a process of its own.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { describe, test } = require('node:test');
const { commands, exitCode, of, serve, start, text } = require('./lab.js');

/** The run of batchstep that talks to this sandbox. */
function runOf(url) {
  const processes = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const read = (pid, file) => {
    try {
      return fs.readFileSync(`/proc/${pid}/${file}`, 'latin1').split('\0');
    } catch {
      return [];
    }
  };
  const found = processes.filter((pid) => read(pid, 'cmdline')[0]?.endsWith('/batchstep') && read(pid, 'environ').includes(`INPUT_BASE-URL=${url}`));
  assert.equal(found.length, 1, found.join());
  return Number(found[0]);
}

/** What post is to leave: one batch of this run, cancelled; a word about it in the summary; no error. */
async function assertCancelled(sandbox, records) {
  const [batch, ...others] = (await sandbox.tally()).batches;
  assert.deepEqual([batch.status, others], ['cancelled', []]);
  const post = of(records, 'killed', 'batch', 'Post');
  assert.ok(post.some((record) => record.stepResult === 'success'), text(post));
  assert.deepEqual(commands(post, 'error'), []);
  const [{ content }] = commands(post, 'summary');
  assert.ok(content.includes(`Batch \`${batch.id}\` is cancelled.`), content);
}

const begin = (sandbox) => start('killed.yml', { expected: 1, args: ['--env', `BASE_URL=${sandbox.url}`] });
const polls = ({ calls }) => calls.get > 0;

describe('post cancels the batch', { concurrency: 3, timeout: 120_000 }, () => {
  const moments = [
    ['while it polls', [], polls],
    ['before its create is answered', ['create stall'], ({ creates }) => creates > 0],
  ];
  for (const [moment, faults, holds] of moments) {
    test(`of a run that is killed ${moment}`, async (t) => {
      const sandbox = await serve(t, ...faults);
      const { end } = begin(sandbox);
      await sandbox.until(holds);
      process.kill(runOf(sandbox.url), 'SIGKILL');
      const records = await end;
      assert.equal(exitCode(of(records, 'killed', 'batch')), 137);
      await assertCancelled(sandbox, records);
    });
  }

  test('of a run inside of a composite action, though post finds the inputs of the step around it', async (t) => {
    const sandbox = await serve(t);
    const { end } = start('nested.yml', { expected: 1, args: ['--env', `BASE_URL=${sandbox.url}`] });
    await sandbox.until(polls);
    process.kill(runOf(sandbox.url), 'SIGKILL');
    const records = await end;
    const [batch, ...others] = (await sandbox.tally()).batches;
    assert.deepEqual([batch.status, others], ['cancelled', []], text(records));
    assert.ok(text(records).includes(`Batch \`${batch.id}\` is cancelled.`), text(records));
  });

  // act knows no patience: it kills the launcher outright.
  test('of a job that is cancelled', async (t) => {
    const sandbox = await serve(t);
    const { child, end } = begin(sandbox);
    await sandbox.until(polls);
    child.kill('SIGINT');
    const records = await end;
    assert.match(text(records), /this step has been cancelled: signal: killed/);
    await assertCancelled(sandbox, records);
  });
});
