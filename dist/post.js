// Runs after the job's last step, however main ended. If main was killed before
// its orderly end, the batch that it made or was about to make is cancelled.
// The job's verdict stays what main made it: a cancel that fails is shown as an
// error and in the summary, and fails nothing.
'use strict';
const fs = require('node:fs');
const { annotate, findBinary, maskSecrets, run } = require('./lib.js');

async function post() {
  if (process.env.STATE_armed !== 'true') return;
  maskSecrets(process.env);
  const create = process.env.STATE_create;
  if (!create) throw new Error('The mark of the batch is not known.');
  // The binary keeps to its 60 s by itself; the limit here is for one that hangs.
  const code = await run(await findBinary(), ['cancel', `--create=${create}`, '--timeout=60s'], { timeout: 90_000 });
  if (code !== 0) throw new Error(`Cancelling ended with exit code ${code}.`);
}

post().catch((error) => {
  const mark = process.env.STATE_create || 'unknown';
  const sentence = `A batch of this job may still run and cost money: it could not be cancelled. Look at the provider for the one with the metadata batchstep_create = ${mark}.`;
  annotate('error', `${sentence} ${error.message}`);
  // If there is no summary, the annotation has to do.
  fs.appendFile(process.env.GITHUB_STEP_SUMMARY || '', `**batchstep:** ${sentence}\n`, () => {});
});
