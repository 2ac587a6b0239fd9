// The image's root, run with chroot as its configuration says. IMAGE names the root and BINARY the binary in it;
// needs to be root.
'use strict';
const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');
const { describe, test } = require('node:test');
const lab = require('./lab.js');

const { IMAGE, BINARY } = process.env;
const version = /^version = "(.+)"$/m.exec(fs.readFileSync(path.join(lab.ROOT, 'Cargo.toml'), 'utf8'))[1];
const requests = path.join(lab.ROOT, 'examples', 'requests.jsonl');

/** A copy of the image's root with a workspace at /work that belongs to `user`. */
function container(user = 0) {
  const root = path.join(lab.directory('root'), 'root');
  fs.cpSync(IMAGE, root, { recursive: true });
  fs.copyFileSync(requests, path.join(root, 'work', 'requests.jsonl'));
  fs.chmodSync(path.join(root, 'work'), 0o755);
  fs.chownSync(path.join(root, 'work'), user, user);
  return {
    root,
    /** The entry point in the working directory. The network is the machine's. */
    run(args, env = {}) {
      const alone = ['--root', root, '--wd', '/work', '--setgid', String(user), '--setuid', String(user), '--', '/batchstep'];
      return new Promise((resolve) => {
        const child = spawn('/usr/bin/unshare', [...alone, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
        const said = { out: '', err: '' };
        child.stdout.on('data', (text) => (said.out += text));
        child.stderr.on('data', (text) => (said.err += text));
        child.on('close', (code) => resolve({ ...said, code }));
      });
    },
    file: (name) => fs.readFileSync(path.join(root, 'work', name), 'utf8'),
    owner: (name) => fs.statSync(path.join(root, 'work', name)).uid,
  };
}

/** A sandbox behind https, with the tests' own authority; its base URL. */
async function sandbox(t) {
  const child = spawn(BINARY, ['sandbox', '--port', '0', '--takes', '300ms'], { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => child.kill());
  let said = '';
  await new Promise((resolve) => child.stderr.on('data', (text) => (said += text).includes('SIMULATED') && resolve()));
  const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(said)[1];
  const { key, cert } = lab.certificates();
  const server = https.createServer({ key, cert }, (request, response) => {
    const { method, url, headers } = request;
    const call = http.request({ port, method, path: url, headers }, (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
    request.pipe(call);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close().closeAllConnections());
  return `https://127.0.0.1:${server.address().port}/v1`;
}

const succeeded = (at) => assert.equal(JSON.parse(at.file('batch-results/report.json')).outcome, 'succeeded');

describe('image', { concurrency: 2, timeout: 120_000, skip: IMAGE ? false : 'IMAGE names no root' }, () => {
  test('says its version', async () => {
    assert.deepEqual(await container().run(['--version']), { out: `batchstep ${version}\n`, err: '', code: 0 });
  });

  test('runs a command in the workspace', async () => {
    const at = container();
    const { code, err } = await at.run(['run', 'requests.jsonl', '--provider', 'sandbox', '--takes', '300ms']);
    assert.equal(code, 0, err);
    succeeded(at);
  });

  test('runs as another user, whose files are in the workspace', async () => {
    const at = container(65534);
    const { code, err } = await at.run(['run', 'requests.jsonl', '--provider', 'sandbox', '--takes', '300ms']);
    assert.equal(code, 0, err);
    succeeded(at);
    assert.equal(at.owner('batch-results/report.json'), 65534);
  });

  test('is a plugin: settings are inputs, and the command is run', async () => {
    const at = container();
    const settings = { PLUGIN_PROVIDER: 'sandbox', PLUGIN_REQUESTS: 'requests.jsonl', PLUGIN_TAKES: '300ms', PLUGIN_OUTPUT_DIR: 'out' };
    const { code, err } = await at.run([], { CI: 'woodpecker', ...settings });
    assert.equal(code, 0, err);
    assert.equal(JSON.parse(at.file('out/report.json')).outcome, 'succeeded');
    assert.equal((await at.run([], settings)).code, 2, 'without the system there is no command');
  });

  test('trusts the authorities in its bundle, and no other', async (t) => {
    const call = ['run', 'requests.jsonl', '--provider', 'compatible', '--base-url', await sandbox(t), '--poll-interval', '200ms'];
    const stranger = container();
    const refused = await stranger.run(call, { BATCHSTEP_API_KEY: 'x' });
    assert.equal(refused.code, 4, refused.err);
    assert.match(refused.err, /certificate|ca-file/);
    const at = container();
    fs.copyFileSync(lab.certificates().ca, path.join(at.root, 'etc/ssl/certs/ca-certificates.crt'));
    const { code, err } = await at.run(call, { BATCHSTEP_API_KEY: 'x' });
    assert.equal(code, 0, err);
    succeeded(at);
  });

  test('has the binary, the authorities, the licences and two directories, and nothing else', () => {
    const files = spawnSync('find', ['.', '-type', 'f', '-o', '-type', 'd', '-empty'], { cwd: IMAGE, encoding: 'utf8' }).stdout.trim().split('\n').sort();
    const licences = ['APACHE', 'MIT'].map((name) => `./usr/share/licenses/batchstep/LICENSE-${name}`);
    assert.deepEqual(files, ['./batchstep', './etc/ssl/certs/ca-certificates.crt', './tmp', ...licences, './work']);
    assert.ok(fs.readFileSync(BINARY).equals(fs.readFileSync(path.join(IMAGE, 'batchstep'))));
  });
});
