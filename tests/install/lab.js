// What the tests of ci/install.sh share: a release that a local https server has, the finished script, and a
// machine that has the given programs and nothing else.
'use strict';
const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const lab = require('../launcher/lab.js');

const ROOT = path.join(__dirname, '..', '..');
const TARGETS = ['x86_64', 'aarch64'].flatMap((machine) => ['unknown-linux-musl', 'apple-darwin', 'pc-windows-msvc'].map((system) => `${machine}-${system}`));
const TARGET = lab.TARGET;
const ASSET = `batchstep-${TARGET}.tar.gz`;
const OURS = 'if [ "$*" = --version ]; then echo "batchstep 1.2.3"; else echo "ran: [$*]"; fi';

/** The archive of a release around a shell script, as cargo-dist packs it. */
function archive(body = OURS) {
  const dir = lab.directory('release');
  lab.script(body, path.join(dir, `batchstep-${TARGET}`, 'batchstep'));
  lab.write(path.join(dir, `batchstep-${TARGET}`, 'README.md'), 'read me');
  execFileSync('tar', ['-czf', ASSET, `batchstep-${TARGET}`], { cwd: dir });
  return fs.readFileSync(path.join(dir, ASSET));
}

const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

/** The scripts of a release whose archive for this machine is `bytes`; where they are. */
function scripts(bytes, version = '1.2.3') {
  const dir = lab.directory('scripts');
  const targets = Object.fromEntries(TARGETS.map((target) => [target, { sha256: target === TARGET ? sha256(bytes) : 'a'.repeat(64) }]));
  const manifest = lab.write(path.join(dir, 'manifest.json'), JSON.stringify({ version, targets }));
  execFileSync('python3', [path.join(ROOT, '.github', 'package', 'installers.py'), manifest, dir], { stdio: 'pipe' });
  return dir;
}

/** What install.sh needs, but for what downloads and what hashes. */
const PLAIN = ['cat', 'chmod', 'cp', 'cut', 'gzip', 'mkdir', 'mktemp', 'mv', 'printf', 'rm', 'sed', 'sleep', 'tar', 'uname'];
const USUAL = [...PLAIN, 'sha256sum', 'curl'];
const where = (program) => execFileSync('bash', ['-c', 'type -P "$1"', 'bash', program], { encoding: 'utf8' }).trim();

/** A machine with these programs; in place of some, scripts. `shell` is the command that runs scripts. */
function machine({ programs = USUAL, stubs = {}, shell = ['sh'] } = {}) {
  const dir = lab.directory('machine');
  const bin = path.join(dir, 'bin');
  for (const name of ['bin', 'tmp', 'home', 'into']) fs.mkdirSync(path.join(dir, name));
  for (const program of programs) fs.symlinkSync(where(program), path.join(bin, program));
  for (const [name, body] of Object.entries(stubs)) lab.script(body, path.join(bin, name));
  const { ca } = lab.certificates();
  const trust = { CURL_CA_BUNDLE: ca, SSL_CERT_FILE: ca, WGETRC: lab.write(path.join(dir, 'wgetrc'), `ca_certificate = ${ca}\n`) };
  const env = { PATH: bin, HOME: path.join(dir, 'home'), TMPDIR: path.join(dir, 'tmp'), ...trust };
  const [program, ...before] = shell;
  return {
    dir,
    env,
    into: path.join(dir, 'into'),
    start(args, input = '') {
      const child = spawn(where(program), [...before, ...args], { cwd: dir, env, stdio: ['pipe', 'pipe', 'pipe'] });
      child.stdin.on('error', () => {}).end(input);
      return child;
    },
    async run(args, input) {
      const child = this.start(args, input);
      const said = { out: '', err: '' };
      child.stdout.on('data', (text) => (said.out += text));
      child.stderr.on('data', (text) => (said.err += text));
      return new Promise((resolve) => child.on('close', (code, signal) => resolve({ ...said, code, signal })));
    },
    /** Everything that the script left anywhere, but what `uses` made. */
    left: () => ['tmp', 'home', 'into'].flatMap((name) => fs.readdirSync(path.join(dir, name), { recursive: true }).map((file) => `${name}/${file}`)).sort(),
  };
}

/** A machine, a server with the archive, the scripts that pin it, and how to install from there. */
async function release(t, { answer, bytes = archive(), pinned = bytes, version, ...kind } = {}) {
  const server = await lab.serve(t, answer ?? ((_, response) => response.end(bytes)));
  const script = path.join(scripts(pinned, version), 'install.sh');
  const computer = machine(kind);
  const from = ['--from', `${server.url}/cli/v1.2.3/`];
  return { ...computer, computer, server, script, bytes, install: (...args) => computer.run([script, ...from, ...args, computer.into]) };
}

/** A failed installation: one sentence, nothing on standard output, and nothing left. */
function refused(at, result, expected, code = 1) {
  assert.match(result.err, expected);
  assert.match(result.err, /^install\.sh: .*\.\n(usage: .*\n)?$/);
  assert.deepEqual([result.code, result.out], [code, '']);
  assert.deepEqual(at.left(), []);
}

module.exports = { ...lab, ASSET, OURS, PLAIN, ROOT, TARGET, TARGETS, USUAL, archive, machine, refused, release, scripts, sha256, where };
