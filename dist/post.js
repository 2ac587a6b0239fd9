// Runs after the job's last step, however main ended. If main was killed before
// its orderly end, the batch that it made or was about to make is cancelled.
// The job's verdict stays what main made it: a cancel that fails is shown as an
// error and in the summary, and fails nothing.
'use strict';
const fs = require('node:fs');
const { annotate, findBinary, maskSecrets, run } = require('./lib.js');

async function post() {
  const { STATE_armed, STATE_create: create, STATE_batch: batch, STATE_check: check } = process.env;
  const armed = STATE_armed === 'true';
  if (!armed && !check) return;
  maskSecrets(process.env);
  if (armed && !create) throw new Error('The mark of the batch is not known.');
  const args = [armed && `--create=${create}`, '--timeout=60s', check && `--check=${check}`, '--', armed && batch];
  // The binary keeps to its 60 s by itself; the limit here is for one that hangs.
  const code = await run(await findBinary(), ['cancel', ...args.filter(Boolean)], { timeout: 90_000 });
  if (code !== 0) throw new Error(`Cancelling ended with exit code ${code}.`);
}

post().catch((error) => {
  const mark = process.env.STATE_create || 'unknown';
  const sentence = `A batch of this job may still run and cost money: it could not be cancelled. Look at the provider for the one with the metadata batchstep_create = ${mark}.`;
  annotate('error', `${sentence} ${error.message}`);
  fs.appendFile(process.env.GITHUB_STEP_SUMMARY || '', `**batchstep:** ${sentence}\n`, () => {});
});
