'use strict';
const fs = require('node:fs');
const { files, lines } = require('./cases.json');

const { INPUT_CASE: name, GITHUB_OUTPUT, GITHUB_STATE, GITHUB_STEP_SUMMARY } = process.env;
if (name) {
  const { text } = files.find((file) => file.name === name);
  for (const file of [GITHUB_OUTPUT, GITHUB_STATE, GITHUB_STEP_SUMMARY]) fs.appendFileSync(file, text);
} else {
  for (const { line } of lines) process.stdout.write(`${line}\n`);
}
