// The interface of .github/workflows/batch.yml, read from its text, and the tables of
// docs/ci/github.md that describe it.
'use strict';

/** The entries of `inputs`, `secrets` or `outputs`: name to its members. The file is ours, so its indentation is known. */
function declared(workflow, section) {
  const lines = workflow.split('\n');
  const from = lines.indexOf(`    ${section}:`) + 1;
  if (from === 0) throw new Error(`the workflow has no ${section}`);
  const entries = {};
  let entry;
  for (const line of lines.slice(from)) {
    const name = /^ {6}([\w-]+):$/.exec(line)?.[1];
    const member = /^ {8}(\w+): (.+)$/.exec(line);
    if (name) entries[name] = entry = {};
    else if (member) entry[member[1]] = member[2].replace(/^'(.*)'$/, '$1');
    else break;
  }
  return entries;
}

/** The rows of the table under a heading, without its head, as lists of cells. */
function table(page, heading) {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| '));
  return rows.slice(1).map((row) => row.slice(2, -2).split(' | '));
}

/** The row that describes an input. */
function row(name, { type, description, default: value, required }) {
  const more = required === 'true' ? ' Required.' : value === undefined ? '' : ` Defaults to \`${value}\`.`;
  return [`\`${name}\``, type, description + more];
}

module.exports = { declared, row, table };
