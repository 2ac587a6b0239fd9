// A repository of a user's, and act in it: our action and the reusable workflow as other
// repositories name them, from the copy of this one, and a stand-in for the action that
// uploads artifacts, which shows what it would take.
'use strict';
const assert = require('node:assert/strict');
const { spawn, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { COPY } = require('./lab.js');

const TOKEN = 'ghs_0123456789abcdefghijklmnopqrstuvwxyz';
const KEY = 'sk-this-is-for-the-sandbox';
const UPLOADS = ['actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f', 'forgejo/upload-artifact@v4'];
const VERSION = /^version = "(.*)"$/m.exec(fs.readFileSync(path.join(COPY, 'Cargo.toml'), 'utf8'))[1];

/** Makes the repository, with the example's requests in it; `variables` are set for every step. */
function repository(variables) {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'repository-'));
  for (const name of ['repo', 'upload', 'home']) fs.mkdirSync(path.join(work, name));
  const requests = path.join(work, 'repo', 'requests.jsonl');
  fs.copyFileSync(path.join(COPY, 'examples', 'requests.jsonl'), requests);
  const upload = 'name: upload\ndescription: shows\ninputs: { name: {}, path: {}, if-no-files-found: {} }\nruns:\n  using: composite\n  steps:\n'
    + '    - shell: bash\n      run: echo "artifact $NAME"; if [ -d "$WHERE" ]; then find "$WHERE" -name "*.jsonl" -exec wc -l {} +; fi\n'
    + '      env: { NAME: "${{ inputs.name }}", WHERE: "${{ inputs.path }}" }\n';
  fs.writeFileSync(path.join(work, 'upload', 'action.yml'), upload);
  for (const name of ['repo', 'upload']) {
    const git = (...args) => execFileSync('git', ['-C', path.join(work, name), '-c', 'user.name=ci', '-c', 'user.email=ci@localhost', ...args]);
    git('init', '--quiet', '--initial-branch', 'main');
    git('add', '--all');
    git('commit', '--quiet', '--message', 'requests');
    git('remote', 'add', 'origin', 'https://github.com/octo/repo');
  }
  return {
    requests,
    act: (workflow, event, options) => act(work, variables, workflow, event, options),
    remove: () => fs.rmSync(work, { recursive: true, force: true }),
  };
}

/** Runs a workflow, the path of a file or its text, on an event; resolves to the log's records. */
async function act(work, variables, workflow, event, { payload = {}, expected = 0, secrets = { OPENAI_API_KEY: KEY }, actor } = {}) {
  const home = path.join(work, 'home');
  fs.writeFileSync(path.join(home, 'event.json'), JSON.stringify(payload));
  const file = workflow.includes('\n') ? path.join(home, 'workflow.yml') : workflow;
  if (file !== workflow) fs.writeFileSync(file, workflow);
  const each = (flag, pairs) => Object.entries(pairs).flatMap(([name, value]) => [flag, `${name}=${value}`]);
  const args = [
    event, '-W', file, '-e', path.join(home, 'event.json'), '--json',
    ...['ubuntu-latest', 'docker'].flatMap((label) => ['-P', `${label}=-self-hosted`]),
    '--no-cache-server', '--artifact-server-addr', '127.0.0.1', ...(actor ? ['--actor', actor] : []),
    ...['v1', `v${VERSION}`].flatMap((tag) => ['--local-repository', `batchstep/batchstep@${tag}=${COPY}`]),
    ...UPLOADS.flatMap((name) => ['--local-repository', `${name}=${path.join(work, 'upload')}`]),
    ...each('-s', { GITHUB_TOKEN: TOKEN, ...secrets }), ...each('--env', variables),
  ];
  const known = { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: path.join(home, 'cache'), XDG_CONFIG_HOME: home };
  const child = spawn('act', args, { cwd: path.join(work, 'repo'), env: known, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, errors] = ['', ''];
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(status, expected, out + errors);
  return out.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
}

/** The last value of an output in these records. */
const output = (records, name) => records.filter((record) => record.command === 'set-output' && record.name === name).at(-1)?.arg;

/** The names of our jobs that had steps: act also mentions those that it skips. */
const jobs = (records) => [...new Set(records.filter(({ stage }) => stage === 'Main').map(({ jobID }) => jobID))].filter((id) => id !== 'after');

/** The YAML blocks of a page of docs/ci. */
const blocks = (page) => [...fs.readFileSync(path.join(COPY, 'docs', 'ci', page), 'utf8').matchAll(/```yaml\n([^]*?)```/g)].map(([, block]) => block);

module.exports = { KEY, TOKEN, VERSION, blocks, jobs, output, repository };
