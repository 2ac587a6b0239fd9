// The action's main step: masks the secrets, finds the binary and runs it. The
// binary reads the inputs by itself, and its exit code is the step's.
'use strict';
const { annotate, findBinary, maskSecrets, run } = require('./lib.js');

async function main() {
  maskSecrets(process.env);
  process.exitCode = await run(await findBinary(), []);
}

main().catch((error) => {
  annotate('error', error.message);
  process.exitCode = 1;
});
