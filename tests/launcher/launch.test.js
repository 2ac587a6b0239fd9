// Which binary the launcher takes, what it refuses, and how it runs it: masks,
// inputs, signals, exit codes.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const lab = require('./lab.js');

const given = (body) => ({ 'INPUT_BINARY-PATH': lab.script(body) });

describe('launch', { concurrency: 4, timeout: 120_000 }, () => {
  test('binary-path comes first, then dist/bin; neither needs a manifest', async () => {
    const action = lab.launcher();
    fs.rmSync(path.join(action.dir, 'dist', 'manifest.json'));
    lab.script('echo beside', action.bin);
    assert.equal((await action.launch()).out, 'beside\n');
    assert.equal((await action.launch(given('echo given'))).out, 'given\n');
    lab.script('echo relative', path.join(action.dir, 'tools', 'mine'));
    assert.equal((await action.launch({ 'INPUT_BINARY-PATH': ' tools/mine ' })).out, 'relative\n');
    assert.equal((await action.launch({ 'INPUT_BINARY-PATH': '  ' })).out, 'beside\n');
  });

  test('the binary gets no arguments, all inputs, and the workspace', async () => {
    const action = lab.launcher();
    // Not by a shell, which drops names with a hyphen.
    const program = `#!${process.execPath}\nconsole.log(process.argv.length - 2, process.cwd(), process.env['INPUT_POLL-INTERVAL']);\n`;
    const file = lab.write(path.join(action.dir, 'program.js'), program, 0o755);
    const result = await action.launch({ 'INPUT_BINARY-PATH': file, 'INPUT_POLL-INTERVAL': '5s' });
    assert.equal(result.out, `0 ${action.dir} 5s\n`);
  });

  test('a shell around the binary still has every input', async () => {
    const inputs = { 'INPUT_MAX-FAILED': '5', 'INPUT_POLL-INTERVAL': '5s', INPUT_POLL_INTERVAL: 'as it was', INPUT_REQUESTS: 'r' };
    const result = await lab.launcher().launch({ ...given('echo "$INPUT_MAX_FAILED, $INPUT_POLL_INTERVAL, $INPUT_REQUESTS"'), ...inputs });
    assert.equal(result.out, '5, as it was, r\n');
  });

  test('the binary knows the process that passes signals on, and post the binary', async () => {
    const action = lab.launcher();
    const state = lab.write(path.join(action.dir, 'state'), 'earlier=1\n');
    const binary = given('echo "$BATCHSTEP_LAUNCHER_PID $PPID"');
    const launched = action.start({ ...binary, GITHUB_STATE: state });
    const result = await launched.end;
    assert.equal(result.out, `${launched.child.pid} ${launched.child.pid}\n`);
    const [, name, , value] = /^earlier=1\n(\w+)<<(.+)\n(.+)\n\2\n$/.exec(fs.readFileSync(state, 'utf8'));
    assert.deepEqual([name, value], ['binary', binary['INPUT_BINARY-PATH']]);
  });

  test('what cannot be run here is refused in words', async () => {
    const action = lab.launcher();
    const at = (name, bytes, mode = 0o755) => lab.write(path.join(action.dir, name), bytes, mode);
    const elf = (machine) => Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01', 'latin1'), Buffer.alloc(9), Buffer.from([3, 0, machine, 0])]);
    const cases = [
      [path.join(action.dir, 'none'), /there is no such file/],
      [action.dir, /it is a directory/],
      [at('empty', ''), /it is no program for /],
      [at('text', 'echo ran: by a shell\n'), /it is no program for /],
      [at('other-machine', elf(process.arch === 'x64' ? 0xb7 : 0x3e)), /it is no program for /],
      [at('windows', 'MZ and more of what Windows likes'), /it is no program for /],
      [at('no-mode', '#!/bin/sh\n', 0o644), /it is not executable/],
      [at('interpreter', '#!/no/such/shell\n'), /cannot be run: ENOENT\./],
    ];
    for (const [file, expected] of cases) {
      const result = await action.launch({ 'INPUT_BINARY-PATH': file });
      assert.deepEqual([result.code, result.err], [1, ''], file);
      assert.match(result.out, /^::error title=batchstep::[^\n]*\n$/);
      assert.match(result.out, expected);
      assert.ok(result.out.includes(file), result.out);
    }
  });

  test('a file name cannot issue commands', async () => {
    const result = await lab.launcher().launch({ 'INPUT_BINARY-PATH': 'a%\r\n::warning::b' });
    assert.match(result.out, /^::error title=batchstep::[^\r\n]*a%25%0D%0A::warning::b cannot be run[^\r\n]*\n$/);
  });

  test('a platform without a release is named', async () => {
    const action = lab.launcher();
    const disguise = lab.write(path.join(action.dir, 'disguise.js'), "Object.defineProperty(process, 'arch', { value: 's390x' });");
    const result = await action.launch({ NODE_OPTIONS: `--require ${disguise}` });
    assert.equal(result.code, 1);
    assert.match(result.out, /^::error title=batchstep::There is no batchstep for \w+-s390x: build one and name it with the input binary-path\.\n$/);
  });

  test('exit codes pass through', async () => {
    const action = lab.launcher();
    for (const code of [0, 1, 3, 7, 130]) assert.equal((await action.launch(given(`exit ${code}`))).code, code);
  });

  test('a binary that a signal killed is 128 and its number', async () => {
    const result = await lab.launcher().launch(given('kill -9 $$'));
    assert.deepEqual([result.code, result.signal], [137, null]);
  });

  test('signals to the launcher alone reach the binary, whose end is awaited', async () => {
    const body = `stop() { echo "got $1"; sleep 0.3; echo cleaned up; exit $2; }
trap 'stop INT 130' INT; trap 'stop TERM 143' TERM; trap 'stop HUP 129' HUP
echo ready; while :; do sleep 0.05; done`;
    for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
      const launched = lab.launcher().start(given(body));
      await launched.says('ready');
      launched.child.kill(signal);
      const result = await launched.end;
      assert.equal(result.out, `ready\ngot ${signal.slice(3)}\ncleaned up\n`);
      assert.equal(result.code, code);
    }
  });

  test('a binary that ignores a signal is not left alone', async () => {
    const launched = lab.launcher().start(given(`trap 'echo ignored' INT; trap 'echo stops; exit 143' TERM
echo ready; while :; do sleep 0.05; done`));
    await launched.says('ready');
    launched.child.kill('SIGINT');
    await launched.says('ignored');
    launched.child.kill('SIGTERM');
    assert.equal((await launched.end).code, 143);
  });

  test('secrets are masked before anything else is said', async () => {
    const result = await lab.launcher().launch({
      ...given('echo started'),
      'INPUT_API-KEY': ' sk-a%key-of-length ',
      INPUT_HEADERS: 'X-Gateway: token:with:colons\nX-Short: 1234567\n\nX-Eight: 12345678',
      OPENAI_API_KEY: 'sk-from-elsewhere',
      BATCHSTEP_API_KEY: 'short',
    });
    assert.equal(result.out, '::add-mask::sk-a%25key-of-length\n::add-mask::sk-from-elsewhere\n::add-mask::token:with:colons\n::add-mask::12345678\nstarted\n');
    const others = await lab.launcher().launch({
      ...given('echo started'),
      INPUT_API_KEY: 'key-that-a-shell-keeps',
      PLUGIN_API_KEY: 'key-of-a-plugin',
      PLUGIN_HEADERS: 'A: plugin-one,B: plugin-two',
      'INPUT_GITHUB-TOKEN': 'ghs_of-an-input',
      BATCHSTEP_GITHUB_TOKEN: 'ghs_of-our-own',
      GITHUB_TOKEN: 'ghs_of-the-job',
      'INPUT_BASE-URL': 'https://gateway.example/v1?api-version=2026-01-preview&sig=signature%2Fof%2Fit',
      BATCHSTEP_BASE_URL: 'https://no-query.example/v1',
    });
    const masked = others.out.split('\n').filter((line) => line.startsWith('::add-mask::')).map((line) => line.slice(12));
    const expected = ['key-that-a-shell-keeps', 'key-of-a-plugin', 'plugin-one,B: plugin-two', 'plugin-one', 'plugin-two', 'ghs_of-an-input'];
    assert.deepEqual(masked, [...expected, 'ghs_of-our-own', 'ghs_of-the-job', 'signature%252Fof%252Fit', 'signature/of/it']);
    const failing = await lab.launcher().launch({ 'INPUT_API-KEY': 'line-one\nline-two', 'INPUT_BINARY-PATH': '/none' });
    assert.match(failing.out, /^::add-mask::line-one%0Aline-two\n::error /);
    assert.equal((await lab.launcher().launch({ ...given('echo started'), 'INPUT_API-KEY': '1234567' })).out, 'started\n');
  });
});
