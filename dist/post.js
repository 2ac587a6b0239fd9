// Runs after the job's last step, however main ended. If main was killed before
// its orderly end, the batch that it made or was about to make is cancelled. What
// is believed is the state that main left: inside of a composite action the inputs
// found here are another step's. The job's verdict stays what main made it: a cancel
// that fails is shown as an error and in the summary, and fails nothing.
'use strict';
const fs = require('node:fs');
const { annotate, findBinary, maskSecrets, run, withPlainNames } = require('./lib.js');

const [creates, batches] = ['STATE_create', 'STATE_batch'].map((name) => (process.env[name] || '').split('\n').filter(Boolean));
const armed = process.env.STATE_armed === 'true';

/** The binary that main ran, or another of ours where that one is gone. */
const sameBinary = () => findBinary(process.env.STATE_binary).catch((gone) => findBinary().catch(() => Promise.reject(gone)));

async function post() {
  if (!armed && !process.env.STATE_check) return;
  maskSecrets(process.env);
  if (armed && !creates.length && !batches.length) throw new Error('The mark of the batch is not known.');
  // The binary keeps to its 60 s by itself; the limit here is for one that hangs.
  const options = { env: withPlainNames(process.env), timeout: 90_000 };
  const code = await run(await sameBinary(), ['cancel', '--from-state', '--timeout=60s'], options);
  if (code !== 0) throw new Error(`Cancelling ended with exit code ${code}.`);
}

post().catch((error) => {
  const which = [...batches, `with the metadata batchstep_create = ${creates.join(' or ') || 'unknown'}`].join(', or ');
  const where = process.env.STATE_base_url ? ` at ${process.env.STATE_base_url}` : '';
  const batch = `A batch of this job may still run and cost money: it could not be cancelled. Look at the provider${where} for the one ${which}.`;
  const sentence = armed ? batch : `Check ${process.env.STATE_check} of a run that is gone could not be concluded.`;
  annotate('error', `${sentence} ${error.message}`);
  fs.appendFile(process.env.GITHUB_STEP_SUMMARY || '', `**batchstep:** ${sentence}\n`, () => {});
});
