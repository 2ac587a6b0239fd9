// What main.js and post.js share: finds the batchstep binary, or downloads and
// verifies it, and runs it. Node built-ins only. Nothing here knows what a batch
// is, and every doubt about the binary ends the step. See docs/action.md.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { spawn, spawnSync } = require('node:child_process');
const { pipeline } = require('node:stream/promises');
const { setTimeout: sleep } = require('node:timers/promises');

const WINDOWS = process.platform === 'win32';
const PLATFORM = `${process.platform}-${process.arch}`;
const TARGETS = {
  'linux-x64': 'x86_64-unknown-linux-musl',
  'linux-arm64': 'aarch64-unknown-linux-musl',
  'darwin-x64': 'x86_64-apple-darwin',
  'darwin-arm64': 'aarch64-apple-darwin',
  'win32-x64': 'x86_64-pc-windows-msvc',
  'win32-arm64': 'aarch64-pc-windows-msvc',
};
const [TRIES, REDIRECTS] = [3, 5];
// For one address: an archive has a tenth of these bytes, and a slow line needs a tenth of this time.
const [MOST_BYTES, MOST_MINUTES] = [64 << 20, 5];

/** Something that another try does not fix; its message is for the user. */
class Failure extends Error {}

const escape = (text) => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');

/** Writes a line at once, so that masks are there before the binary's first word. */
const say = (line) => fs.writeSync(1, `${line}\n`);

const annotate = (kind, message) => say(`::${kind} title=batchstep::${escape(message)}`);

/** The variables of vendors' own tools, of GitHub and of GitLab that stand for a secret input. The binary reads the same ones. */
const VARIABLES = {
  'api-key': ['OPENAI_API_KEY', 'ANTHROPIC_API_KEY'], 'base-url': ['OPENAI_BASE_URL', 'ANTHROPIC_BASE_URL'],
  'github-token': ['GITHUB_TOKEN'], 'gitlab-token': ['GITLAB_TOKEN'], headers: ['OPENAI_CUSTOM_HEADERS', 'ANTHROPIC_CUSTOM_HEADERS'],
};

/** Has the runner hide what the binary reads as a secret, wherever it reads it. Short values would blank out the log. */
function maskSecrets(env) {
  const all = (input) => {
    const [upper, snake] = [input.toUpperCase(), input.toUpperCase().replace(/-/g, '_')];
    return [`INPUT_${upper}`, `INPUT_${snake}`, `PLUGIN_${snake}`, `BATCHSTEP_${snake}`, ...VARIABLES[input]].map((name) => env[name] || '');
  };
  const lines = [...all('headers'), (env.PLUGIN_HEADERS || '').replace(/,/g, '\n')].join('\n').split('\n');
  const headers = lines.map((header) => header.slice(header.indexOf(':') + 1));
  // Of a base URL's query only api-version is no secret. It may be shown as it is written or decoded.
  const pairs = all('base-url').flatMap((url) => url.split('?').slice(1).join('?').split('&'));
  const hidden = pairs.filter((pair) => !pair.startsWith('api-version=')).map((pair) => pair.slice(pair.indexOf('=') + 1));
  const queries = hidden.flatMap((value) => [value, ...new URLSearchParams(`v=${value}`).values()]);
  const secrets = [...all('api-key'), ...headers, ...all('github-token'), ...all('gitlab-token'), ...queries];
  const long = secrets.map((secret) => secret.trim()).filter((secret) => secret.length >= 8);
  for (const secret of new Set(long)) say(`::add-mask::${escape(secret)}`);
}

/** The variables for the binary: each input also under a name that a shell keeps, since dash drops names with a hyphen. */
function withPlainNames(env) {
  const plain = Object.keys(env).filter((name) => name.startsWith('INPUT_')).map((name) => [name.replace(/-/g, '_'), env[name]]);
  return { ...Object.fromEntries(plain), ...env };
}

/** Leaves something in the runner's state, where post finds it as STATE_name. */
function remember(name, value) {
  const end = crypto.randomUUID();
  if (process.env.GITHUB_STATE) fs.appendFileSync(process.env.GITHUB_STATE, `${name}<<${end}\n${value}\n${end}\n`);
}

/** The path of a binary that fits this machine: the one that is given, or the first that is found. */
async function findBinary(given) {
  if (given) return fitting(path.resolve(given));
  const target = TARGETS[PLATFORM];
  if (!target) throw new Failure(`There is no batchstep for ${PLATFORM}: build one and name it with the input binary-path.`);
  const file = WINDOWS ? 'batchstep.exe' : 'batchstep';
  const beside = path.join(__dirname, 'bin', target, file);
  if (fs.existsSync(beside)) return fitting(beside);
  const release = pinned(target);
  // Only places that belong to the runner: nobody else can have put a binary there.
  const roots = [process.env.RUNNER_TOOL_CACHE, process.env.RUNNER_TEMP].filter(Boolean);
  const edition = `${release.version}-${release.sha256.slice(0, 16)}`;
  const places = roots.map((root) => path.join(root, 'batchstep', edition, target, file));
  const cached = places.find((place) => fs.existsSync(place));
  return fitting(cached || (await install(release, places)));
}

/** The release's archive for a target, as the manifest of this very commit pins it. */
function pinned(target) {
  const { version, base_url: base, targets } = JSON.parse(fs.readFileSync(path.join(__dirname, 'manifest.json'), 'utf8'));
  const instead = 'name a binary with the input binary-path, or put one into dist/bin/ beside the launcher';
  if (!version || !base || !targets || Object.keys(targets).length === 0) {
    throw new Failure(`This commit of the action names no release to download: use a release tag, or ${instead}.`);
  }
  // No version is in an asset's name: a mirror that keeps to the address cannot mix them up.
  if (!base.endsWith(`/v${version}`)) throw new Failure(`The address ${base} is not that of release ${version}: ${instead}.`);
  const { asset, sha256, bin } = targets[target] || {};
  if (asset && bin && /^[0-9a-f]{64}$/.test(sha256)) return { version, target, base, asset, sha256, bin };
  throw new Failure(`The release ${version} is not pinned for ${target} (asset, SHA-256 and binary): ${instead}.`);
}

/** Downloads, verifies and unpacks; moves the binary to the first place that takes it. */
async function install(release, places) {
  if (places.length === 0) throw new Failure('Neither RUNNER_TOOL_CACHE nor RUNNER_TEMP is set: there is nowhere to put the binary.');
  const work = fs.mkdtempSync(path.join(process.env.RUNNER_TEMP || os.tmpdir(), 'batchstep-'));
  try {
    const archive = path.join(work, path.basename(release.asset));
    await downloadVerified(release, archive);
    // Git's tar on Windows cannot read zip; the system's can.
    const tar = WINDOWS ? path.join(process.env.SystemRoot || 'C:\\Windows', 'System32', 'tar.exe') : 'tar';
    const unpack = [archive.endsWith('.gz') ? '-xzf' : '-xf', archive, '-C', work, release.bin];
    const { status, error } = spawnSync(tar, unpack, { stdio: 'inherit' });
    const binary = path.join(work, release.bin);
    if (status !== 0 || !fs.lstatSync(binary).isFile()) {
      throw new Failure(`${release.asset} cannot be unpacked: ${error?.message ?? `tar ended with ${status}`}.`);
    }
    fs.chmodSync(binary, 0o755);
    say(`Downloaded batchstep ${release.version} for ${release.target}; its SHA-256 is the pinned one.`);
    return keep(binary, places);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** Puts a file where it is found again: a rename is all or nothing, so what is there is whole. */
function keep(binary, places) {
  let reason;
  for (const place of places) {
    const draft = `${place}.${crypto.randomUUID()}`;
    try {
      fs.mkdirSync(path.dirname(place), { recursive: true });
      fs.copyFileSync(binary, draft);
      fs.renameSync(draft, place);
      return place;
    } catch (error) {
      reason = error;
      fs.rm(draft, { force: true }, () => {});
      // Windows does not replace a program that runs: another job was faster.
      if (fs.existsSync(place)) return place;
    }
  }
  throw new Failure(`The binary cannot be stored: ${reason.message}.`);
}

/** Tries the release's addresses until one yields the very bytes that are pinned. */
async function downloadVerified(release, archive) {
  const addresses = [`${release.base}/${release.asset}`];
  // A server of one's own may mirror the release. What it serves is held to the same hash.
  const server = process.env.GITHUB_SERVER_URL || '';
  const home = 'https://github.com/';
  if (addresses[0].startsWith(home) && server.startsWith('https://') && `${server}/` !== home) {
    addresses.unshift(`${server.replace(/\/$/, '')}/${addresses[0].slice(home.length)}`);
  }
  for (let address = addresses.shift(); ; address = addresses.shift()) {
    try {
      const sha256 = await download(address, archive);
      if (sha256 === release.sha256) return;
      throw new Failure(`${address} is not the file that was released: its SHA-256 is ${sha256}, not ${release.sha256}. It was not unpacked.`);
    } catch (error) {
      if (addresses.length === 0) throw error;
      say(`${error.message} Trying ${addresses[0]} instead.`);
    }
  }
}

/** Downloads to a file and returns the SHA-256. Trouble that may pass is tried again, but not for ever. */
async function download(address, file) {
  const signal = AbortSignal.timeout(MOST_MINUTES * 60_000);
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await get(new URL(address), REDIRECTS, signal);
      await pipeline(response, bounded, fs.createWriteStream(file), { signal });
      return crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex');
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (signal.aborted) throw new Failure(`${address} cannot be downloaded within ${MOST_MINUTES} minutes.`);
      const reason = [error.code, error.message].filter(Boolean).join(', ');
      if (attempt === TRIES) throw new Failure(`${address} cannot be downloaded, in ${TRIES} tries: ${reason}.`);
      await sleep(attempt * attempt * 1000);
    }
  }
}

/** Passes on what is no more than an archive can be. */
async function* bounded(chunks) {
  let left = MOST_BYTES;
  for await (const chunk of chunks) {
    if ((left -= chunk.length) < 0) throw new Failure(`The download is larger than ${MOST_BYTES >> 20} MiB, so it is not the release.`);
    yield chunk;
  }
}

/** The response to a GET that ended well, after redirects; https all the way. */
async function get(url, redirects, signal) {
  // Without the query: it may hold a signature.
  const shown = `${url.origin}${url.pathname}`;
  if (url.protocol !== 'https:') throw new Failure(`${shown} is not https: the download is refused.`);
  // HTTPS_PROXY and NO_PROXY are Node's own affair, from 24.5 on.
  const agent = new https.Agent({ proxyEnv: process.env });
  const response = await new Promise((resolve, reject) => {
    const request = https.get(url, { agent, signal, timeout: 60_000, headers: { 'user-agent': 'batchstep-action' } }, resolve);
    request.on('timeout', () => request.destroy(new Error('no data for a minute')));
    request.on('error', reject);
  });
  const { statusCode: status, headers } = response;
  if (status === 200) return response;
  response.resume();
  if (status >= 300 && status < 400 && headers.location) {
    if (redirects === 0) throw new Failure(`${shown} redirects too often.`);
    return get(new URL(headers.location, url), redirects - 1, signal);
  }
  if (status >= 500 || status === 429 || status === 408) throw new Error(`the server answers ${status}`);
  throw new Failure(`${shown} cannot be downloaded: the server answers ${status}.`);
}

/** A binary's path, if it is a program for this machine. A shell would try to read others as a script. */
function fitting(file) {
  let head;
  try {
    if (!WINDOWS) fs.accessSync(file, fs.constants.X_OK);
    head = fs.readFileSync(file).toString('latin1', 0, 20);
  } catch (error) {
    const known = { ENOENT: 'there is no such file', EACCES: 'it is not executable', EISDIR: 'it is a directory' };
    throw new Failure(`${file} cannot be run: ${known[error.code] || error.message}.`);
  }
  // ELF with its machine, Mach-O (Rosetta runs the other one's), PE.
  const elf = head.startsWith('\x7fELF') && head[18] === { x64: '\x3e', arm64: '\xb7' }[process.arch];
  const fits = { linux: elf, darwin: /^(\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe)/.test(head), win32: head.startsWith('MZ') };
  if (fits[process.platform] || (!WINDOWS && head.startsWith('#!'))) return file;
  throw new Failure(`${file} cannot be run: it is no program for ${PLATFORM}.`);
}

/** Runs a program to its end and returns its exit code, 128 + n after signal n. */
function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    let child;
    // The runner signals the launcher alone on Unix, but every process on Windows, where passing it on would kill.
    // The handlers come first: the program may be well under way before spawn returns.
    const signals = WINDOWS ? ['SIGINT', 'SIGBREAK'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, () => WINDOWS || child.kill(signal));
    child = spawn(program, args, { stdio: 'inherit', ...options });
    child.on('error', (error) => reject(new Failure(`${program} cannot be run: ${error.code || error.message}.`)));
    child.on('exit', (code, signal) => resolve(signal ? 128 + os.constants.signals[signal] : code));
  });
}

module.exports = { annotate, findBinary, maskSecrets, remember, run, withPlainNames };
