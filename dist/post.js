// Runs after the job's last step, however main ended. If main was killed before
// its orderly end, the batch that it made or was about to make is cancelled.
// The job's verdict stays what main made it: a cancel that fails is shown as an
// error and in the summary, and fails nothing.
'use strict';
const fs = require('node:fs');
const { annotate, findBinary, maskSecrets, run } = require('./lib.js');

const [creates, batches] = ['STATE_create', 'STATE_batch'].map((name) => (process.env[name] || '').split('\n').filter(Boolean));

async function post() {
  const check = process.env.STATE_check;
  const armed = process.env.STATE_armed === 'true';
  if (!armed && !check) return;
  maskSecrets(process.env);
  if (armed && !creates.length && !batches.length) throw new Error('The mark of the batch is not known.');
  const marks = armed ? creates.map((create) => `--create=${create}`) : [];
  const args = [...marks, '--timeout=60s', check && `--check=${check}`, '--', ...(armed ? batches : [])];
  // The binary keeps to its 60 s by itself; the limit here is for one that hangs.
  const code = await run(await findBinary(), ['cancel', ...args.filter(Boolean)], { timeout: 90_000 });
  if (code !== 0) throw new Error(`Cancelling ended with exit code ${code}.`);
}

post().catch((error) => {
  const which = [...batches, `with the metadata batchstep_create = ${creates.join(' or ') || 'unknown'}`].join(', or ');
  const sentence = `A batch of this job may still run and cost money: it could not be cancelled. Look at the provider for the one ${which}.`;
  annotate('error', `${sentence} ${error.message}`);
  fs.appendFile(process.env.GITHUB_STEP_SUMMARY || '', `**batchstep:** ${sentence}\n`, () => {});
});
