// The action's main step: masks the secrets, finds the binary and runs it. The
// binary reads the inputs by itself, and its exit code is the step's.
'use strict';
const { annotate, findBinary, maskSecrets, remember, run, withPlainNames } = require('./lib.js');

async function main() {
  maskSecrets(process.env);
  const binary = await findBinary((process.env['INPUT_BINARY-PATH'] || '').trim());
  remember('binary', binary);
  // The binary ends as on SIGTERM when this process is gone: nobody would pass a signal on any more.
  const env = { ...withPlainNames(process.env), BATCHSTEP_LAUNCHER_PID: String(process.pid) };
  process.exitCode = await run(binary, [], { env });
}

main().catch((error) => {
  annotate('error', error.message);
  process.exitCode = 1;
});
