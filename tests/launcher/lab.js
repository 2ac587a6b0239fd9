// What the launcher's tests share: a copy of dist/ with a manifest of its own, an
// https server whose certificate comes from a throw-away authority, a CONNECT
// proxy, and the launcher as a process with an environment that the test knows.
'use strict';
const { execFileSync, spawn } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after } = require('node:test');

const DIST = path.join(__dirname, '..', '..', 'dist');
const ROOT = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'launcher-')));
after(() => fs.rmSync(ROOT, { recursive: true, force: true }));

const TARGET = {
  'linux-x64': 'x86_64-unknown-linux-musl',
  'linux-arm64': 'aarch64-unknown-linux-musl',
  'darwin-x64': 'x86_64-apple-darwin',
  'darwin-arm64': 'aarch64-apple-darwin',
}[`${process.platform}-${process.arch}`];

/** A fresh directory. */
const directory = (name) => fs.mkdtempSync(path.join(ROOT, `${name}-`));

/** Writes a file, with the mode if one is given, and returns its path. */
function write(file, text, mode) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
  if (mode) fs.chmodSync(file, mode);
  return file;
}

/** An executable shell script. */
const script = (body, file = path.join(directory('script'), 'batchstep')) => write(file, `#!/bin/sh\n${body}\n`, 0o755);

let authority;
/** A certificate authority and a certificate for localhost, made on first use. */
function certificates() {
  if (authority) return authority;
  const dir = directory('ca');
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const of = (file) => path.join(dir, file);
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test authority', '-days', '2');
  openssl('req', ...key, '-keyout', 'key.pem', '-out', 'csr.pem', '-subj', '/CN=localhost');
  write(of('names'), 'subjectAltName=DNS:localhost,DNS:github.com,DNS:release-assets.githubusercontent.com,IP:127.0.0.1');
  openssl('x509', '-req', '-in', 'csr.pem', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', '7', '-extfile', 'names', '-days', '2', '-out', 'cert.pem');
  authority = { ca: of('ca.pem'), key: fs.readFileSync(of('key.pem')), cert: fs.readFileSync(of('cert.pem')) };
  return authority;
}

/** Serves on a free loopback port for as long as the test runs. */
async function listen(t, server) {
  const open = new Set();
  server.on('connection', (socket) => open.add(socket.on('error', () => {}).on('close', () => open.delete(socket))));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return server.address().port;
}

/** An https server; `answer(request, response, n)` gets the n-th request of it. */
async function serve(t, answer) {
  const asked = [];
  const { key, cert } = certificates();
  const server = https.createServer({ key, cert }, (request, response) => {
    asked.push(request.url);
    answer(request, response, asked.length);
  });
  const port = await listen(t, server);
  return { asked, port, url: `https://localhost:${port}` };
}

const [major, minor] = process.versions.node.split('.').map(Number);
/** Why a test that needs a proxy cannot be run, if it cannot. */
const proxyless = major > 24 || (major === 24 && minor >= 5) ? false : 'this Node has no proxies of its own';

/** A proxy that tunnels to loopback, whatever the name that it is asked for, and the port if `to` is one. */
async function proxy(t, to) {
  const tunnels = [];
  const server = http.createServer((_, response) => response.writeHead(405).end());
  server.on('connect', (request, socket, head) => {
    tunnels.push(request.url);
    const upstream = net.connect(to ?? request.url.split(':').pop(), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  const port = await listen(t, server);
  return { tunnels, url: `http://127.0.0.1:${port}` };
}

/** An archive as a release has it, around a program; its bytes and its line in the manifest. */
function release(body = 'echo "ran: [$*]"; exit 7', entry = {}) {
  const dir = directory('release');
  script(body, path.join(dir, 'batchstep-x', 'batchstep'));
  execFileSync('tar', ['-czf', 'asset.tar.gz', 'batchstep-x'], { cwd: dir });
  const bytes = fs.readFileSync(path.join(dir, 'asset.tar.gz'));
  const sha256 = crypto.createHash('sha256').update(bytes).digest('hex');
  return { bytes, entry: { asset: 'asset.tar.gz', sha256, bin: 'batchstep-x/batchstep', ...entry } };
}

/** The launcher with a manifest and a runner's directories. */
function launcher(manifest) {
  const dir = directory('action');
  fs.cpSync(DIST, path.join(dir, 'dist'), { recursive: true, filter: (file) => path.basename(file) !== 'bin' });
  if (manifest) write(path.join(dir, 'dist', 'manifest.json'), JSON.stringify(manifest));
  const env = { PATH: process.env.PATH, RUNNER_TEMP: path.join(dir, 'temp'), RUNNER_TOOL_CACHE: path.join(dir, 'tools') };
  if (authority) env.NODE_EXTRA_CA_CERTS = authority.ca;
  fs.mkdirSync(env.RUNNER_TEMP);
  fs.mkdirSync(env.RUNNER_TOOL_CACHE);
  return {
    dir,
    tools: env.RUNNER_TOOL_CACHE,
    temp: env.RUNNER_TEMP,
    bin: path.join(dir, 'dist', 'bin', TARGET, 'batchstep'),
    start: (more = {}, file = 'main.js') => start(path.join(dir, 'dist', file), dir, { ...env, ...more }),
    launch(more, file) {
      return this.start(more, file).end;
    },
  };
}

/** Where a server has the release. */
const RELEASE = '/cli/v1.2.3';

/** A launcher whose manifest names a release on a server. */
const releasing = (url, entry) => launcher({ version: '1.2.3', base_url: `${url}${RELEASE}`, targets: { [TARGET]: entry } });

function start(file, cwd, env) {
  const child = spawn(process.execPath, [file], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const result = { out: '', err: '' };
  child.stdout.on('data', (text) => (result.out += text));
  child.stderr.on('data', (text) => (result.err += text));
  const end = new Promise((resolve) => child.on('close', (code, signal) => resolve({ ...result, code, signal })));
  const says = async (text) => {
    while (!result.out.includes(text)) {
      if (child.exitCode !== null) throw new Error(`it ended without ${text}: ${result.out}${result.err}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return { child, end, says };
}

module.exports = { RELEASE, TARGET, certificates, directory, launcher, proxy, proxyless, release, releasing, script, serve, write };
