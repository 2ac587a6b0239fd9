// The lines of docs/install.md that download a release, run as they are printed: github.com is a local server
// that has the files in the directory that RELEASE names, and is reached through a proxy.
'use strict';
const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const lab = require('./lab.js');

const release = process.env.RELEASE;
const page = fs.readFileSync(path.join(lab.ROOT, 'docs', 'install.md'), 'utf8');
const version = /^version = "(.+)"$/m.exec(fs.readFileSync(path.join(lab.ROOT, 'Cargo.toml'), 'utf8'))[1];

/** The lines of the page's blocks in `language` that download from a release. */
const lines = (language) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].flatMap(([, block]) => block.split('\n')).filter((line) => line.includes('/releases/download/'));

/** Where each line puts the binary, under the home directory or the one that it runs in, by what it downloads. */
const PLACES = { 'install.sh': 'home/bin/batchstep', 'batchstep-installer.sh': 'home/.cargo/bin/batchstep', [lab.ASSET]: 'batchstep' };
const fileOf = (line) => /\/releases\/download\/cli\/v[^/]+\/([\w.-]+)/.exec(line)[1];

/** Runs a line where github.com has the release, with a byte of the file `changed` flipped. */
async function run(t, line, changed) {
  const server = await lab.serve(t, (request, response) => {
    const file = path.join(release, path.basename(request.url));
    if (!request.url.startsWith(`/batchstep/batchstep/releases/download/cli/v${version}/`) || !fs.existsSync(file)) return response.writeHead(404).end();
    const bytes = fs.readFileSync(file);
    if (path.basename(file) === changed) bytes[bytes.length >> 1] ^= 1;
    return response.end(bytes);
  });
  const proxy = await lab.proxy(t, server.port);
  const cwd = lab.directory('line');
  const home = path.join(cwd, 'home');
  fs.mkdirSync(home);
  const hash = lab.sha256(fs.readFileSync(path.join(release, fileOf(line))));
  const env = { PATH: process.env.PATH, HOME: home, TMPDIR: lab.directory('tmp'), HTTPS_PROXY: proxy.url, CURL_CA_BUNDLE: lab.certificates().ca };
  const child = spawn('sh', ['-c', line.replace('SHA256', hash)], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, said, binary: path.join(cwd, PLACES[fileOf(line)]), names: new Set(proxy.tunnels) };
}

describe('docs/install.md', { concurrency: 2, timeout: 120_000, skip: release ? false : 'RELEASE names no directory' }, () => {
  test('has a line for each way', () => {
    assert.deepEqual(lines('sh').map(fileOf).sort(), Object.keys(PLACES).sort());
    assert.deepEqual(lines('powershell').map(fileOf), ['install.ps1', 'batchstep-x86_64-pc-windows-msvc.zip', 'batchstep-installer.ps1']);
    for (const line of [...lines('sh'), ...lines('powershell')]) {
      assert.ok(fs.existsSync(path.join(release, fileOf(line))), line);
      assert.ok(line.includes('SHA256') || line.includes('batchstep-installer.'), line);
      assert.ok(line.includes(`https://github.com/batchstep/batchstep/releases/download/cli/v${version}/`), line);
    }
  });

  for (const line of lines('sh')) {
    test(`installs what was released: ${fileOf(line)}`, async (t) => {
      const { code, said, binary, names } = await run(t, line);
      assert.equal(code, 0, said);
      assert.equal(execFileSync(binary, ['--version'], { encoding: 'utf8' }), `batchstep ${version}\n`);
      assert.deepEqual([...names], ['github.com:443']);
    });

    for (const changed of new Set([lab.ASSET, ...(line.includes('SHA256') ? [fileOf(line)] : [])])) {
      test(`installs nothing if ${changed} is changed: ${fileOf(line)}`, async (t) => {
        const { code, said, binary } = await run(t, line, changed);
        assert.notEqual(code, 0);
        assert.match(said, /was not unpacked|checksum mismatch|did NOT match/);
        assert.ok(!fs.existsSync(binary), said);
      });
    }

    test(`installs nothing if there is no release: ${fileOf(line)}`, async (t) => {
      const { code, binary } = await run(t, line.replace(`cli/v${version}/`, 'cli/v9.9.9/'));
      // The status of a pipe is that of its last program: of a shell that read nothing. cargo-dist prints it so.
      assert.equal(code === 0, line.endsWith('batchstep-installer.sh | sh'));
      assert.ok(!fs.existsSync(binary));
    });
  }
});
