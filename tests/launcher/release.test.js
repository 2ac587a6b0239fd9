// A release from its archives to a run: packed as cargo-dist packs, pinned by
// the script that pins, served as GitHub serves, and run by a copy of the action
// that has no binary beside it. RELEASE_BINARY names the binary; .ci/action does.
'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const lab = require('./lab.js');

const ROOT = path.join(__dirname, '..', '..');
const REQUESTS = path.join(ROOT, 'examples', 'requests.jsonl');
const binary = process.env.RELEASE_BINARY;
const skip = binary ? false : 'RELEASE_BINARY names no binary';

const version = /^version = "(.+)"$/m.exec(fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8'))[1];
const tag = `cli/v${version}`;
const asset = `batchstep-${lab.TARGET}.tar.gz`;
const address = `/batchstep/batchstep/releases/download/${tag}/${asset}`;

/** The archive for this machine, and the manifest that pins it among the five others, which are faked. */
function release() {
  const dir = lab.directory('release');
  const folder = path.join(dir, `batchstep-${lab.TARGET}`);
  fs.mkdirSync(folder);
  for (const file of ['README.md', 'CHANGELOG.md', 'LICENSE-MIT', 'LICENSE-APACHE']) fs.copyFileSync(path.join(ROOT, file), path.join(folder, file));
  fs.copyFileSync(binary, path.join(folder, 'batchstep'));
  execFileSync('tar', ['-czf', asset, path.basename(folder)], { cwd: dir });
  const workspace = fs.readFileSync(path.join(ROOT, 'dist-workspace.toml'), 'utf8');
  const targets = [...workspace.matchAll(/^ {4}"([\w-]+)",$/gm)].map(([, target]) => target);
  const sums = targets.map((target) => {
    const file = path.join(dir, `batchstep-${target}.${target.includes('windows') ? 'zip' : 'tar.gz'}`);
    if (!fs.existsSync(file)) fs.writeFileSync(file, `the archive for ${target}`);
    return `${crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex')} *${path.basename(file)}\n`;
  });
  const list = lab.write(path.join(dir, 'sha256.sum'), sums.join(''));
  const pinned = execFileSync(process.execPath, [path.join(ROOT, '.github', 'pin-release.js'), tag, list], { encoding: 'utf8' });
  return { bytes: fs.readFileSync(path.join(dir, asset)), manifest: JSON.parse(pinned) };
}

/** Runs a step of the action against the sandbox that is in the binary; asserts how it ended. */
async function run(action, dir, more) {
  const file = (name) => lab.write(path.join(action.dir, dir, name), '');
  const files = { GITHUB_OUTPUT: file('output'), GITHUB_STATE: file('state'), GITHUB_STEP_SUMMARY: file('summary') };
  const inputs = { INPUT_PROVIDER: 'sandbox', INPUT_REQUESTS: REQUESTS, INPUT_TAKES: '300ms', 'INPUT_OUTPUT-DIR': `${dir}/results` };
  const result = await action.launch({ GITHUB_ACTIONS: 'true', ...files, ...inputs, ...more });
  assert.equal(result.code, 0, result.out + result.err);
  const output = fs.readFileSync(files.GITHUB_OUTPUT, 'utf8');
  const said = (name) => [...output.matchAll(new RegExp(`^${name}<<(.+)\\n(.*)\\n\\1$`, 'gm'))].at(-1)?.[2];
  assert.deepEqual(['outcome', 'total', 'succeeded'].map(said), ['succeeded', '8', '8']);
  assert.equal(fs.readFileSync(path.join(action.dir, said('results-file')), 'utf8').split('\n').length, 9);
  const report = JSON.parse(fs.readFileSync(path.join(action.dir, said('report-file')), 'utf8'));
  assert.deepEqual([report.tool, report.simulated], [`batchstep ${version}`, true]);
  assert.match(fs.readFileSync(files.GITHUB_STEP_SUMMARY, 'utf8'), /SIMULATED/);
  return result.out;
}

const downloaded = `Downloaded batchstep ${version} for ${lab.TARGET}; its SHA-256 is the pinned one.\n`;

describe('release', { concurrency: 2, timeout: 120_000, skip }, () => {
  test('is downloaded from a mirror, verified, unpacked and run; then from the tool cache, without a network', async (t) => {
    const { bytes, manifest } = release();
    const server = await lab.serve(t, (_, response) => response.end(bytes));
    const action = lab.launcher(manifest);
    const first = await run(action, 'first', { GITHUB_SERVER_URL: server.url });
    assert.ok(first.startsWith(downloaded), first);
    assert.deepEqual(server.asked, [address]);
    // Whoever asked again would now end with an error.
    const nowhere = { GITHUB_SERVER_URL: 'https://localhost:1', HTTPS_PROXY: 'http://127.0.0.1:1' };
    assert.ok(!(await run(action, 'second', nowhere)).includes('Downloaded'));
    assert.deepEqual(server.asked, [address]);
  });

  test('is downloaded from GitHub, which redirects to where it stores files', { skip: lab.proxyless }, async (t) => {
    const { bytes, manifest } = release();
    const server = await lab.serve(t, (request, response) => {
      const store = `https://release-assets.githubusercontent.com/blob?signature=s3cret`;
      return request.headers.host === 'github.com' ? response.writeHead(302, { location: store }).end() : response.end(bytes);
    });
    const proxy = await lab.proxy(t, server.port);
    const out = await run(lab.launcher(manifest), 'run', { HTTPS_PROXY: proxy.url, GITHUB_SERVER_URL: 'https://github.com' });
    assert.ok(out.startsWith(downloaded) && !out.includes('s3cret'), out);
    assert.deepEqual(proxy.tunnels, ['github.com:443', 'release-assets.githubusercontent.com:443']);
    assert.deepEqual(server.asked, [address, '/blob?signature=s3cret']);
  });

  test('is refused with one byte changed', async (t) => {
    const { bytes, manifest } = release();
    bytes[bytes.length >> 1] ^= 1;
    const server = await lab.serve(t, (_, response) => response.end(bytes));
    const action = lab.launcher({ ...manifest, base_url: `${server.url}/cli/v${version}` });
    const result = await action.launch({ INPUT_PROVIDER: 'sandbox', INPUT_REQUESTS: REQUESTS });
    assert.equal(result.code, 1);
    assert.match(result.out, /^::error title=batchstep::https:\S+ is not the file that was released: .* It was not unpacked\.\n$/);
    assert.deepEqual(fs.readdirSync(action.tools), []);
  });
});
