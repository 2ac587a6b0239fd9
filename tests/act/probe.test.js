// Whether our own runner (tests/action) reads as another does: probe/cases.json
// says what GitHub's makes of each case, and where act is known to differ.
'use strict';
const assert = require('node:assert/strict');
const { test } = require('node:test');
const { act, of } = require('./lab.js');
const { files, lines } = require('./probe/cases.json');

const checkout = { uses: 'actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1' };
const job = (name) => ({ 'runs-on': 'ubuntu-latest', steps: [checkout, { id: 'probe', uses: './tests/act/probe', with: { case: name } }] });
const workflow = (names) => ({ on: 'push', jobs: Object.fromEntries(names.map((name) => [name || 'lines', job(name)])) });

/** The outputs that a step set, by files or by commands. */
const outputs = (records) => Object.fromEntries(records.filter((record) => record.command === 'set-output' && record.name !== undefined).map(({ name, arg }) => [name, arg]));

/** What act is said to make of a case: what the runner does, unless the case says otherwise. */
const expected = ({ pairs, error, act: differs = { pairs, error } }) => differs;

test('files are read as our runner reads them', async () => {
  const readable = files.filter((file) => !expected(file).error);
  assert.ok(readable.length > 15);
  const records = await act(workflow(readable.map(({ name }) => name)));
  for (const file of readable) {
    const main = of(records, file.name, 'probe');
    assert.deepEqual(outputs(main), expected(file).pairs, file.name);
    const summary = main.filter((record) => record.command === 'summary').map((record) => record.content);
    assert.deepEqual(summary, [file.text], file.name);
    const post = of(records, file.name, 'probe', 'Post').find((record) => record.raw_output);
    assert.deepEqual(JSON.parse(post.msg), expected(file).pairs, file.name);
  }
});

test('files are refused as our runner refuses them', async () => {
  const refused = files.filter((file) => expected(file).error);
  assert.ok(refused.length > 2);
  const records = await act(workflow(refused.map(({ name }) => name)), { expected: 1 });
  for (const file of refused) {
    const main = of(records, file.name, 'probe');
    assert.deepEqual(outputs(main), {}, file.name);
    const { error } = expected(file);
    const said = records.filter((record) => record.jobID === file.name || record.level === 'error').map((record) => record.msg);
    assert.ok(said.some((line) => line.includes(error)), `${file.name}: ${error} is not in\n${said.join('\n')}`);
  }
});

test('lines are read as our runner reads them', async () => {
  const main = of(await act(workflow([''])), 'lines', 'probe');
  const told = main.filter((record) => record.raw_output || record.command).map((record) => {
    const { command, raw, name, kvPairs = { name }, arg } = record;
    // Of an output the log does not show the line.
    const line = command === 'set-output' ? `::set-output name=${name}::${arg}` : (raw ?? record.msg).replace(/[\r\n]+$/, '');
    return [line, command ? { name: command, properties: kvPairs, data: arg } : null];
  });
  assert.deepEqual(told, lines.map(({ line, command, act: differs = command }) => [line, differs]));
  assert.deepEqual(outputs(main), { forged: 'one' });
});
