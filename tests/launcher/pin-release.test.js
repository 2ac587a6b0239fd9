// What .github/pin-release.js makes of a release's checksums: all or nothing.
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { manifest, requireOwnAction } = require('../../.github/pin-release.js');

const HASH = 'a'.repeat(64);
const ASSETS = [
  'batchstep-aarch64-apple-darwin.tar.gz',
  'batchstep-aarch64-pc-windows-msvc.zip',
  'batchstep-aarch64-unknown-linux-musl.tar.gz',
  'batchstep-x86_64-apple-darwin.tar.gz',
  'batchstep-x86_64-pc-windows-msvc.zip',
  'batchstep-x86_64-unknown-linux-musl.tar.gz',
];
const sums = (assets) => [...assets, 'source.tar.gz'].map((asset) => `${HASH} *${asset}\n`).join('') + '\n';

test('every target is pinned with its asset, hash and path', () => {
  const pinned = manifest('cli/v1.2.3', sums(ASSETS));
  assert.equal(pinned.version, '1.2.3');
  // The assets' names hold no version; the launcher takes only an address that ends in it.
  assert.equal(pinned.base_url, 'https://github.com/batchstep/batchstep/releases/download/cli/v1.2.3');
  assert.deepEqual(Object.values(pinned.targets).map((target) => target.asset), ASSETS);
  assert.deepEqual(pinned.targets['x86_64-unknown-linux-musl'], {
    asset: 'batchstep-x86_64-unknown-linux-musl.tar.gz',
    sha256: HASH,
    bin: 'batchstep-x86_64-unknown-linux-musl/batchstep',
  });
  assert.equal(pinned.targets['aarch64-pc-windows-msvc'].bin, 'batchstep.exe');
});

test('a release that lacks a target, has one too many or one twice is not pinned', () => {
  assert.throws(() => manifest('cli/v1.2.3', sums(ASSETS.slice(1))), /aarch64-apple-darwin/);
  assert.throws(() => manifest('cli/v1.2.3', sums([...ASSETS, 'batchstep-riscv64gc-unknown-linux-musl.tar.gz'])), /riscv64gc/);
  assert.throws(() => manifest('cli/v1.2.3', sums([...ASSETS, ASSETS[0]])), /twice/);
  assert.throws(() => manifest('cli/v1.2.3', sums(ASSETS).replaceAll(HASH, 'a'.repeat(63))), /not what the action expects/);
});

test('an attestation counts only from the release workflow and the tag itself', () => {
  const workflow = fs.readFileSync(path.join(__dirname, '../../.github/workflows/pin-release.yml'), 'utf8').replace(/\\\n\s+/g, '');
  const [verify, ...others] = workflow.match(/gh attestation verify .*/g);
  assert.deepEqual(others, []);
  const signer = / --signer-workflow "\$GITHUB_REPOSITORY\/(\S+)"/.exec(verify)[1];
  assert.match(verify, / --repo "\$GITHUB_REPOSITORY" .* --source-ref "refs\/tags\/\$TAG"/);
  // That workflow is the one that attests.
  assert.match(fs.readFileSync(path.join(__dirname, '../..', signer), 'utf8'), /uses: actions\/attest@/);
});

test('only the tag of a release names one', () => {
  for (const tag of ['v1.2.3', 'cli/v1.2', 'cli/v1.2.3/../x', 'cli/v1.2.3 --force', undefined]) {
    assert.throws(() => manifest(tag, sums(ASSETS)), /not the tag of a release/, tag);
  }
  assert.equal(manifest('cli/v1.2.3-rc.1', sums(ASSETS)).version, '1.2.3-rc.1');
});

test('the reusable workflow has to name the action of the release', () => {
  const read = (file) => fs.readFileSync(path.join(__dirname, '../..', file), 'utf8');
  const [workflow, version] = [read('.github/workflows/batch.yml'), /^version = "(.*)"$/m.exec(read('Cargo.toml'))[1]];
  requireOwnAction(`cli/v${version}`, workflow);
  assert.throws(() => requireOwnAction('cli/v1.2.3', workflow), /does not name the action of cli\/v1\.2\.3/);
  assert.throws(() => requireOwnAction('cli/v1.2.3', 'uses: batchstep/batchstep@v1.2.3\nuses: batchstep/batchstep@v1'), /cli\/v1\./);
  assert.throws(() => requireOwnAction('cli/v1.2.3', ''), /does not name/);
});
