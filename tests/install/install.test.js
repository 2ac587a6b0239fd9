// ci/install.sh as a release has it: the archive is verified and installed as a whole, or nothing is.
'use strict';
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const lab = require('./lab.js');

lab.certificates();
const address = `/cli/v1.2.3/${lab.ASSET}`;
const SHELLS = [['sh'], ['dash'], ['bash', '--posix'], ['mksh'], ['busybox', 'sh']];
const BUSYBOX = Object.fromEntries([...lab.PLAIN, 'sha256sum', 'wget'].map((name) => [name, `exec ${lab.where('busybox')} ${name} "$@"`]));

/** That the program is installed, is the one that was released, runs, and is all that was left. */
function installed(at, result, more = '') {
  assert.equal(result.err, '');
  const place = path.join(at.into, 'batchstep');
  assert.equal(result.out, `batchstep 1.2.3 is installed as ${place}; its SHA-256 is the pinned one${more}.\n${at.into} is not in PATH.\n`);
  assert.equal(result.code, 0);
  assert.deepEqual(at.left(), ['into/batchstep']);
  assert.equal(fs.statSync(place).mode & 0o777, 0o755);
  assert.equal(spawnSync(place, ['x']).stdout.toString(), 'ran: [x]\n');
}

describe('install.sh', { concurrency: 4, timeout: 120_000 }, () => {
  for (const shell of SHELLS) {
    test(`a release is downloaded, verified and installed: ${shell.join(' ')}`, async (t) => {
      const at = await lab.release(t, { shell });
      installed(at, await at.install());
      assert.deepEqual(at.server.asked, [address]);
    });

    test(`a file with another hash is refused: ${shell.join(' ')}`, async (t) => {
      const at = await lab.release(t, { shell, pinned: Buffer.from('another archive') });
      lab.refused(at, await at.install(), /is not the file that was released: its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}\. It was not unpacked\./);
    });
  }

  test('the directory is ~/.local/bin if none is named, and may be relative', async (t) => {
    const at = await lab.release(t);
    const from = ['--from', `${at.server.url}/cli/v1.2.3`];
    at.env.PATH += `:${at.env.HOME}/.local/bin`;
    const usual = await at.run([at.script, ...from]);
    assert.equal(usual.out, `batchstep 1.2.3 is installed as ${at.env.HOME}/.local/bin/batchstep; its SHA-256 is the pinned one.\n`);
    assert.equal((await at.run([at.script, ...from, 'here it is'])).code, 0);
    assert.deepEqual(fs.readdirSync(path.join(at.dir, 'here it is')), ['batchstep']);
    delete at.env.HOME;
    const homeless = await at.run([at.script, ...from]);
    assert.deepEqual([homeless.code, homeless.err.split('\n')[0]], [2, 'install.sh: `HOME` is not set: name a directory.']);
  });

  test('the script works on standard input, as curl passes it on', async (t) => {
    const at = await lab.release(t);
    const args = ['-s', '--', '--from', `${at.server.url}/cli/v1.2.3`, at.into];
    installed(at, await at.run(args, fs.readFileSync(at.script)));
  });

  test('a script that is cut off does nothing, wherever that is', async (t) => {
    // Nothing begins without asking for the system.
    const at = await lab.release(t, { programs: lab.USUAL.filter((program) => program !== 'uname'), stubs: { uname: 'echo >"$HOME/began"' } });
    const script = fs.readFileSync(at.script, 'utf8');
    const cuts = [...script.matchAll(/\n/g)].map((match) => match.index + 1).filter((cut) => cut < script.length);
    for (let cut = script.length - 30; cut < script.length - 2; cut++) cuts.push(cut);
    for (const cut of cuts) {
      await at.run(['-s', '--', '--from', at.server.url, at.into], script.slice(0, cut));
      assert.deepEqual(at.left(), [], `cut at ${cut}: ${script.slice(cut - 20, cut)}`);
    }
    assert.ok(cuts.length > 150);
    await at.run(['-s', '--', '--from', at.server.url, at.into], script);
    assert.deepEqual(at.left(), ['home/began']);
  });

  test('an earlier program is replaced, but not by a failure', async (t) => {
    const at = await lab.release(t);
    const earlier = lab.script('echo earlier', path.join(at.into, 'batchstep'));
    installed(at, await at.install());
    lab.script('echo earlier', earlier);
    const worse = await lab.release(t, { pinned: Buffer.from('x') });
    const result = await at.run([worse.script, '--from', at.server.url, at.into]);
    assert.equal(result.code, 1);
    assert.equal(spawnSync(earlier).stdout.toString(), 'earlier\n');
    assert.deepEqual(at.left(), ['into/batchstep']);
  });

  test('what is not there is asked for once', async (t) => {
    const at = await lab.release(t, { answer: (_, response) => response.writeHead(404).end('no') });
    lab.refused(at, await at.install(), /cannot be downloaded: the server answered 404\.$/m);
    assert.deepEqual(at.server.asked, [address]);
  });

  test('what may pass is tried three times', async (t) => {
    const bytes = lab.archive();
    const answer = (_, response, n) => (n < 3 ? response.writeHead(n === 1 ? 503 : 429).end() : response.end(bytes));
    const at = await lab.release(t, { bytes, answer });
    installed(at, await at.install());
    const never = await lab.release(t, { answer: (_, response) => response.writeHead(500).end() });
    lab.refused(never, await never.install(), /cannot be downloaded, in 3 tries: the server answered 500\.$/m);
    assert.equal(never.server.asked.length, 3);
  });

  test('half a download is none', async (t) => {
    const bytes = lab.archive();
    const half = (_, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
    };
    const at = await lab.release(t, { bytes, answer: half });
    lab.refused(at, await at.install(), /cannot be downloaded, in 3 tries: curl: \(\d+\) .*\.$/m);
    const wget = await lab.release(t, { bytes, answer: half, programs: [...lab.PLAIN, 'sha256sum', 'wget'] });
    lab.refused(wget, await wget.install(), /cannot be downloaded, in 3 tries: wget ended with exit code \d+\.$/m);
    const healed = await lab.release(t, { bytes, answer: (request, response, n) => (n === 1 ? half(request, response) : response.end(bytes)) });
    installed(healed, await healed.install());
  });

  test('a shorter file that claims to be whole is not the release', async (t) => {
    const bytes = lab.archive();
    const at = await lab.release(t, { bytes, answer: (_, response) => response.end(bytes.subarray(0, -1)) });
    lab.refused(at, await at.install(), /is not the file that was released/);
  });

  test('an archive that holds something else is refused', async (t) => {
    const junk = await lab.release(t, { bytes: Buffer.from('no archive') });
    const result = await junk.install();
    assert.match(result.err, /\ninstall\.sh: batchstep-\S+\.tar\.gz cannot be unpacked\.\n$/);
    assert.deepEqual([result.code, junk.left()], [1, []]);
    const other = await lab.release(t, { bytes: lab.archive('echo "batchstep 1.2.2"') });
    lab.refused(other, await other.install(), /The binary says that it is `batchstep 1\.2\.2`, not `batchstep 1\.2\.3`\./);
    const broken = await lab.release(t, { bytes: lab.archive('echo no such library. >&2; exit 127') });
    lab.refused(broken, await broken.install(), /The binary does not run on this machine: no such library\./);
  });

  test('a system without a release is named', async (t) => {
    const systems = { 'FreeBSD amd64': /no batchstep for FreeBSD\./, 'Linux riscv64': /no batchstep for Linux on riscv64\./, 'MINGW64_NT-10.0 x86_64': /On Windows use install\.ps1\./ };
    for (const [system, expected] of Object.entries(systems)) {
      const [name, machine] = system.split(' ');
      const uname = `case $1 in -s) echo ${name} ;; -m) echo ${machine} ;; esac`;
      const at = await lab.release(t, { programs: lab.USUAL.filter((program) => program !== 'uname'), stubs: { uname } });
      lab.refused(at, await at.install(), expected);
      assert.deepEqual(at.server.asked, []);
    }
  });

  test('each system gets its own archive and hash', async (t) => {
    const names = { Linux: 'unknown-linux-musl', Darwin: 'apple-darwin' };
    const machines = { x86_64: 'x86_64', amd64: 'x86_64', aarch64: 'aarch64', arm64: 'aarch64' };
    for (const [system, suffix] of Object.entries(names)) {
      for (const [machine, prefix] of Object.entries(machines)) {
        const uname = `case $1 in -s) echo ${system} ;; -m) echo ${machine} ;; esac`;
        const at = await lab.release(t, { programs: lab.USUAL.filter((program) => program !== 'uname'), stubs: { uname } });
        const result = await at.install();
        assert.deepEqual(at.server.asked, [`/cli/v1.2.3/batchstep-${prefix}-${suffix}.tar.gz`]);
        // Every target but this machine's is pinned to aaaa….
        if (`${prefix}-${suffix}` !== lab.TARGET) lab.refused(at, result, /not a{64}\. It was not unpacked/);
      }
    }
  });

  test('the script in the repository installs nothing', async (t) => {
    const at = await lab.release(t);
    const script = path.join(lab.ROOT, 'ci', 'install.sh');
    lab.refused(at, await at.run([script, '--from', at.server.url, at.into]), /This is the script in the repository\./);
    const partly = fs.readFileSync(at.script, 'utf8').replace(new RegExp(`^${lab.TARGET} .*\n`, 'm'), '');
    lab.refused(at, await at.run(['-s', '--', '--from', at.server.url, at.into], partly), /This script has no SHA-256 for /);
    assert.deepEqual(at.server.asked, []);
  });

  test('only https is used, also for redirects', async (t) => {
    const at = await lab.release(t, { answer: (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/x' }).end() });
    lab.refused(at, await at.run([at.script, '--from', 'http://127.0.0.1:1', at.into]), /does not begin with https/, 2);
    lab.refused(at, await at.install(), /cannot be downloaded, in 3 tries: curl: \(1\) Protocol "?http"? .*/);
    const strange = lab.machine();
    delete strange.env.CURL_CA_BUNDLE;
    delete strange.env.SSL_CERT_FILE;
    lab.refused(strange, await strange.run([at.script, '--from', at.server.url, strange.into]), /curl: \(60\) /);
  });

  test('a wrong argument is named', async (t) => {
    const at = await lab.release(t);
    lab.refused(at, await at.install('--force'), /`--force` is not an option\./, 2);
    lab.refused(at, await at.install('elsewhere'), /Only one directory can be named\./, 2);
    lab.refused(at, await at.run([at.script, '--from']), /`--from` needs an address\./, 2);
  });

  test('a place that cannot be written to is named', async (t) => {
    const at = await lab.release(t);
    fs.rmdirSync(at.into);
    lab.write(at.into, 'a file');
    const result = await at.install();
    assert.match(result.err, /\ninstall\.sh: The directory `\S+\/into` cannot be created\.\n$/);
    fs.rmSync(at.into);
    fs.mkdirSync(path.join(at.into, 'batchstep'), { recursive: true });
    assert.match((await at.install()).err, /`\S+\/into\/batchstep` is a directory\.\n$/);
    assert.deepEqual(at.left(), ['into/batchstep']);
  });

  test('a signal leaves nothing', async (t) => {
    const at = await lab.release(t, { answer: (_, response) => response.writeHead(200, { 'content-length': 9 }).write('x') });
    const child = at.computer.start([at.script, '--from', at.server.url, at.into]);
    while (at.server.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    // To all of its processes, as a terminal and most CI systems do.
    for (const pid of [child.pid, ...fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')]) process.kill(Number(pid), 'SIGTERM');
    assert.notEqual(await new Promise((resolve) => child.on('close', resolve)), 0);
    assert.deepEqual(at.left(), []);
  });
});

describe('install.sh with other programs', { concurrency: 4, timeout: 120_000 }, () => {
  test('wget in place of curl', async (t) => {
    const at = await lab.release(t, { programs: [...lab.PLAIN, 'sha256sum', 'wget'] });
    installed(at, await at.install());
    const none = await lab.release(t, { programs: [...lab.PLAIN, 'sha256sum', 'wget'], answer: (_, response) => response.writeHead(404).end() });
    lab.refused(none, await none.install(), /cannot be downloaded, in 3 tries: wget ended with exit code 8\./);
  });

  test('BusyBox in place of everything', async (t) => {
    const at = await lab.release(t, { programs: ['openssl'], stubs: BUSYBOX, shell: ['busybox', 'sh'] });
    installed(at, await at.install());
    const worse = await lab.release(t, { programs: ['openssl'], stubs: BUSYBOX, shell: ['busybox', 'sh'], pinned: Buffer.from('x') });
    lab.refused(worse, await worse.install(), /is not the file that was released/);
  });

  for (const hasher of ['shasum', 'openssl']) {
    test(`${hasher} in place of sha256sum`, async (t) => {
      const programs = [...lab.PLAIN, 'curl', 'perl', hasher];
      const at = await lab.release(t, { programs });
      installed(at, await at.install());
      const worse = await lab.release(t, { programs, pinned: Buffer.from('x') });
      lab.refused(worse, await worse.install(), /is not the file that was released/);
    });
  }

  test('without a program that downloads or hashes nothing is installed', async (t) => {
    const deaf = await lab.release(t, { programs: [...lab.PLAIN, 'sha256sum'] });
    lab.refused(deaf, await deaf.install(), /Neither curl nor wget is installed\./);
    const blind = await lab.release(t, { programs: [...lab.PLAIN, 'curl'] });
    lab.refused(blind, await blind.install(), /None of sha256sum, shasum and openssl is installed, so the download cannot be verified\./);
  });
});

describe('install.sh --attestation', { concurrency: 4, timeout: 120_000 }, () => {
  test('gh is asked for the very workflow and tag', async (t) => {
    const at = await lab.release(t, { stubs: { gh: 'echo "$*" >"$HOME/asked"' } });
    const result = await at.install('--attestation');
    const asked = path.join(at.env.HOME, 'asked');
    const said = fs.readFileSync(asked, 'utf8').replace(/^(attestation verify) \S+\//, '$1 ');
    assert.equal(said, `attestation verify ${lab.ASSET} --repo batchstep/batchstep --deny-self-hosted-runners --signer-workflow batchstep/batchstep/.github/workflows/cli-release.yml --source-ref refs/tags/cli/v1.2.3\n`);
    fs.rmSync(asked);
    installed(at, result, ' and its attestation is that of the release workflow');
  });

  test('what gh does not verify is not installed', async (t) => {
    const at = await lab.release(t, { stubs: { gh: 'echo "no attestation"; exit 1' } });
    const result = await at.install('--attestation');
    assert.match(result.err, /^no attestation\ninstall\.sh: `gh` could not verify the attestation of \S+\. It was not unpacked\.\n$/);
    assert.deepEqual([result.code, at.left()], [1, []]);
    const without = await lab.release(t);
    lab.refused(without, await without.install('--attestation'), /`--attestation` needs `gh`, which is not installed\./);
  });

  test('a wrong hash is refused before gh is asked', async (t) => {
    const at = await lab.release(t, { stubs: { gh: 'touch "$HOME/asked"' }, pinned: Buffer.from('x') });
    lab.refused(at, await at.install('--attestation'), /is not the file that was released/);
  });
});
