// The launcher's downloads: verified before they are unpacked, or refused.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const lab = require('./lab.js');

lab.certificates();

/** A failed launch: one error, exit code 1, nothing run, nothing kept. */
function refused(action, result, expected) {
  assert.equal(result.code, 1, result.out + result.err);
  assert.match(result.out, expected);
  assert.equal(result.out.match(/^::error title=batchstep::/gm)?.length, 1, result.out);
  assert.equal(result.err, '');
  assert.doesNotMatch(result.out, /ran:/);
  assert.deepEqual(fs.readdirSync(action.tools), []);
  assert.deepEqual(fs.readdirSync(action.temp), []);
}

describe('download', { concurrency: 4, timeout: 120_000 }, () => {
  test('a release is downloaded, verified and run; the second run needs no network', async (t) => {
    const { bytes, entry } = lab.release();
    const server = await lab.serve(t, (_, response) => response.end(bytes));
    const action = lab.releasing(`${server.url}/download`, entry);
    const first = await action.launch();
    assert.equal(first.out, `Downloaded batchstep 1.2.3 for ${lab.TARGET}; its SHA-256 is the pinned one.\nran: []\n`);
    assert.equal(first.code, 7);
    const kept = path.join(action.tools, 'batchstep', `1.2.3-${entry.sha256.slice(0, 16)}`, lab.TARGET);
    assert.deepEqual(fs.readdirSync(kept), ['batchstep']);
    assert.deepEqual(fs.readdirSync(action.temp), []);
    const second = await action.launch();
    assert.deepEqual([second.out, second.code], ['ran: []\n', 7]);
    assert.deepEqual(server.asked, ['/download/cli/v1.2.3/asset.tar.gz']);
  });

  test('another hash is another binary', async (t) => {
    const releases = [lab.release('echo one'), lab.release('echo two')];
    const server = await lab.serve(t, (_, response, n) => response.end(releases[n - 1].bytes));
    const action = lab.releasing(server.url, releases[0].entry);
    assert.match((await action.launch()).out, /one\n$/);
    const manifest = path.join(action.dir, 'dist', 'manifest.json');
    fs.writeFileSync(manifest, fs.readFileSync(manifest, 'utf8').replace(releases[0].entry.sha256, releases[1].entry.sha256));
    assert.match((await action.launch()).out, /two\n$/);
  });

  test('without a tool cache the runner keeps it for the job', async (t) => {
    const { bytes, entry } = lab.release();
    const server = await lab.serve(t, (_, response) => response.end(bytes));
    const action = lab.releasing(server.url, entry);
    const none = { RUNNER_TOOL_CACHE: path.join(lab.write(path.join(action.dir, 'file'), ''), 'below-a-file') };
    assert.equal((await action.launch(none)).code, 7);
    assert.equal((await action.launch(none)).code, 7);
    assert.equal((await action.launch({ RUNNER_TOOL_CACHE: '' })).code, 7);
    assert.equal(server.asked.length, 1);
    const nowhere = await action.launch({ RUNNER_TOOL_CACHE: '', RUNNER_TEMP: '' });
    assert.match(nowhere.out, /^::error title=batchstep::Neither RUNNER_TOOL_CACHE nor RUNNER_TEMP is set/);
  });

  test('a wrong hash is refused, and nothing is unpacked', async (t) => {
    const { entry } = lab.release();
    const other = lab.release('touch unpacked; echo ran:');
    const server = await lab.serve(t, (_, response) => response.end(other.bytes));
    const action = lab.releasing(server.url, entry);
    refused(action, await action.launch(), /is not the file that was released: its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}/);
    assert.equal(server.asked.length, 1);
  });

  test('a hash that is missing or malformed is refused before any request', async (t) => {
    const server = await lab.serve(t, (_, response) => response.end());
    for (const sha256 of [undefined, '', 'abc', 'F'.repeat(64), `${'f'.repeat(64)}\n`]) {
      const action = lab.releasing(server.url, { ...lab.release().entry, sha256 });
      refused(action, await action.launch(), /The release 1\.2\.3 is not pinned for /);
    }
    assert.deepEqual(server.asked, []);
  });

  test('a manifest without targets, or without this one, says what to do instead', async () => {
    const empty = lab.launcher({ version: '0.1.0', base_url: 'https://localhost', targets: {} });
    refused(empty, await empty.launch(), /names no release to download: use a release tag, or name a binary with the input binary-path/);
    const other = lab.launcher({ version: '0.1.0', base_url: 'https://localhost/v0.1.0', targets: { 'sparc-sun-solaris': lab.release().entry } });
    refused(other, await other.launch(), /is not pinned for .*dist\/bin\//);
  });

  test('an address without the version is refused before any request', async (t) => {
    const server = await lab.serve(t, (_, response) => response.end());
    for (const path of ['/latest', '/cli/v1.2.30', '/v1.2.3/mirror']) {
      const action = lab.launcher({ version: '1.2.3', base_url: server.url + path, targets: { [lab.TARGET]: lab.release().entry } });
      refused(action, await action.launch(), /The address https:\S+ is not that of release 1\.2\.3: name a binary/);
    }
    assert.deepEqual(server.asked, []);
  });

  test('a download without an end is broken off, by its bytes', async (t) => {
    const megabyte = Buffer.alloc(1 << 20);
    const server = await lab.serve(t, (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(megabyte));
      };
      response.on('drain', more);
      more();
    });
    const action = lab.releasing(server.url, lab.release().entry);
    refused(action, await action.launch(), /The download is larger than 64 MiB, so it is not the release\./);
    assert.equal(server.asked.length, 1);
  });

  test('a download that trickles is broken off, by its time over all tries', async (t) => {
    const { bytes, entry } = lab.release();
    const server = await lab.serve(t, (_, response) => {
      // Never idle for long, and never over.
      const timer = setInterval(() => response.write(bytes.subarray(0, 1)), 20);
      response.on('close', () => clearInterval(timer));
    });
    const action = lab.releasing(server.url, entry);
    // Minutes are seconds here.
    const hurry = "const { timeout } = AbortSignal; AbortSignal.timeout = (span) => timeout.call(AbortSignal, span / 60);";
    const hurried = lab.write(path.join(action.dir, 'hurry.js'), hurry);
    refused(action, await action.launch({ NODE_OPTIONS: `--require ${hurried}` }), /asset\.tar\.gz cannot be downloaded within 5 minutes\./);
    assert.equal(server.asked.length, 1);
  });

  test('404 is final', async (t) => {
    const server = await lab.serve(t, (_, response) => response.writeHead(404).end('no'));
    const action = lab.releasing(server.url, lab.release().entry);
    refused(action, await action.launch(), /asset\.tar\.gz cannot be downloaded: the server answers 404\./);
    assert.equal(server.asked.length, 1);
  });

  test('redirects are followed, relative ones and ones to other servers', async (t) => {
    const { bytes, entry } = lab.release();
    const store = await lab.serve(t, (_, response) => response.end(bytes));
    const server = await lab.serve(t, (_, response, n) => {
      response.writeHead(302, { location: n === 1 ? '/again' : `${store.url}/blob?signature=s3cret` }).end();
    });
    const result = await lab.releasing(server.url, entry).launch();
    assert.equal(result.code, 7, result.out);
    assert.deepEqual([server.asked, store.asked], [[`${lab.RELEASE}/asset.tar.gz`, '/again'], ['/blob?signature=s3cret']]);
    assert.doesNotMatch(result.out, /s3cret/);
  });

  test('redirects that go on and on are refused', async (t) => {
    const server = await lab.serve(t, (_, response) => response.writeHead(302, { location: '/round' }).end());
    const action = lab.releasing(server.url, lab.release().entry);
    refused(action, await action.launch(), /redirects too often/);
    assert.equal(server.asked.length, 6);
  });

  test('http is refused, at first or after a redirect', async (t) => {
    const server = await lab.serve(t, (_, response) => response.writeHead(302, { location: 'http://localhost:1/x?signature=s3cret' }).end());
    const action = lab.releasing(server.url, lab.release().entry);
    const result = await action.launch();
    refused(action, result, /http:\/\/localhost:1\/x is not https: the download is refused/);
    assert.doesNotMatch(result.out, /s3cret/);
    const plain = lab.releasing('http://localhost:1', lab.release().entry);
    refused(plain, await plain.launch(), /is not https/);
  });

  test('a server that nobody vouches for is refused', async (t) => {
    const server = await lab.serve(t, (_, response) => response.end());
    const action = lab.releasing(server.url, lab.release().entry);
    refused(action, await action.launch({ NODE_EXTRA_CA_CERTS: '' }), /in 3 tries: .*(self-signed|UNABLE_TO_VERIFY)/);
    assert.deepEqual(server.asked, []);
  });

  test('trouble that passes is borne: 503, 429, then the file', async (t) => {
    const { bytes, entry } = lab.release();
    const server = await lab.serve(t, (_, response, n) => (n < 3 ? response.writeHead(n === 1 ? 503 : 429).end() : response.end(bytes)));
    assert.equal((await lab.releasing(server.url, entry).launch()).code, 7);
    assert.equal(server.asked.length, 3);
  });

  test('trouble that stays ends after three tries', async (t) => {
    const server = await lab.serve(t, (_, response) => response.writeHead(500).end());
    const action = lab.releasing(server.url, lab.release().entry);
    refused(action, await action.launch(), /cannot be downloaded, in 3 tries: the server answers 500\./);
    assert.equal(server.asked.length, 3);
  });

  test('a server that is not there ends after three tries', async () => {
    const action = lab.releasing('https://localhost:1', lab.release().entry);
    refused(action, await action.launch(), /in 3 tries: .*ECONNREFUSED/);
  });

  test('a download that is cut is tried again, and refused if it stays cut', async (t) => {
    const { bytes, entry } = lab.release();
    const cut = (response) => {
      response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 40));
      setTimeout(() => response.destroy(), 50);
    };
    const once = await lab.serve(t, (_, response, n) => (n === 1 ? cut(response) : response.end(bytes)));
    assert.equal((await lab.releasing(once.url, entry).launch()).code, 7);
    const always = await lab.serve(t, (_, response) => cut(response));
    const action = lab.releasing(always.url, entry);
    refused(action, await action.launch(), /cannot be downloaded, in 3 tries: /);
    assert.equal(always.asked.length, 3);
  });

  test('an archive that pretends to be whole but is not is refused by its hash', async (t) => {
    const { bytes, entry } = lab.release();
    const server = await lab.serve(t, (_, response) => response.end(bytes.subarray(0, bytes.length - 10)));
    const action = lab.releasing(server.url, entry);
    refused(action, await action.launch(), /is not the file that was released/);
  });

  test('an archive without the binary is refused', async (t) => {
    const { bytes, entry } = lab.release('', { bin: 'batchstep-x/other' });
    const server = await lab.serve(t, (_, response) => response.end(bytes));
    const action = lab.releasing(server.url, entry);
    const result = await action.launch();
    refused(action, { ...result, err: '' }, /asset\.tar\.gz cannot be unpacked: tar ended with \d/);
  });

  test('a proxy is used, unless NO_PROXY names the host', { skip: lab.proxyless }, async (t) => {
    const { bytes, entry } = lab.release();
    const server = await lab.serve(t, (_, response) => response.end(bytes));
    const proxy = await lab.proxy(t);
    const through = await lab.releasing(server.url, entry).launch({ HTTPS_PROXY: proxy.url });
    assert.equal(through.code, 7, through.out);
    assert.deepEqual(proxy.tunnels, [`localhost:${server.port}`]);
    const lower = await lab.releasing(server.url, entry).launch({ https_proxy: proxy.url, no_proxy: 'other.example' });
    assert.equal(lower.code, 7, lower.out);
    assert.equal(proxy.tunnels.length, 2);
    const past = await lab.releasing(server.url, entry).launch({ HTTPS_PROXY: proxy.url, NO_PROXY: 'localhost' });
    assert.equal(past.code, 7, past.out);
    assert.deepEqual([proxy.tunnels.length, server.asked.length], [2, 3]);
  });

  test('a mirror of GitHub is asked first, and GitHub if that fails', { skip: lab.proxyless }, async (t) => {
    const { bytes, entry } = lab.release();
    const path = '/batchstep/batchstep/releases/download/cli/v1.2.3/asset.tar.gz';
    const mirror = await lab.serve(t, (_, response) => response.end(bytes));
    const action = lab.releasing('https://github.com/batchstep/batchstep/releases/download', entry);
    const result = await action.launch({ GITHUB_SERVER_URL: `${mirror.url}/` });
    assert.equal(result.code, 7, result.out);
    assert.deepEqual(mirror.asked, [path]);
    // GitHub itself is not reached from here: the proxy shows who was asked.
    const empty = await lab.serve(t, (_, response) => response.writeHead(404).end());
    const proxy = await lab.proxy(t);
    const other = lab.releasing('https://github.com/batchstep/batchstep/releases/download', entry);
    const fallen = await other.launch({ GITHUB_SERVER_URL: empty.url, HTTPS_PROXY: proxy.url, NO_PROXY: 'localhost' });
    assert.equal(fallen.code, 1);
    assert.match(fallen.out, /^https:\/\/localhost:\d+\/batchstep.*404\. Trying https:\/\/github\.com\/batchstep.* instead\.$/m);
    assert.deepEqual(new Set(proxy.tunnels), new Set(['github.com:443']));
    assert.deepEqual(empty.asked, [path]);
  });

  test('on GitHub itself there is no mirror to ask', { skip: lab.proxyless }, async (t) => {
    const proxy = await lab.proxy(t);
    const action = lab.releasing('https://github.com/batchstep/batchstep/releases/download', lab.release().entry);
    const result = await action.launch({ GITHUB_SERVER_URL: 'https://github.com', HTTPS_PROXY: proxy.url });
    refused(action, result, /https:\/\/github\.com\/batchstep\/batchstep\/releases\/download\/cli\/v1\.2\.3\/asset\.tar\.gz cannot be downloaded/);
    assert.doesNotMatch(result.out, /instead/);
  });
});
