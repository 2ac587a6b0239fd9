// Writes dist/manifest.json for a release: what the launcher downloads, and the
// hashes that it holds the downloads to. A release that lacks a target, or has
// one twice, is not pinned at all.
//
//   node .github/pin-release.js cli/v1.2.3 sha256.sum > dist/manifest.json
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const TARGETS = [
  'aarch64-apple-darwin',
  'aarch64-pc-windows-msvc',
  'aarch64-unknown-linux-musl',
  'x86_64-apple-darwin',
  'x86_64-pc-windows-msvc',
  'x86_64-unknown-linux-musl',
];

/** The manifest of the release `tag`, whose `sha256.sum` holds a line `<hash> *<asset>` for each asset. */
function manifest(tag, sums) {
  const version = /^cli\/v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)$/.exec(tag)?.[1];
  if (!version) throw new Error(`${tag} is not the tag of a release: cli/v1.2.3 is expected.`);
  const targets = {};
  for (const line of sums.split('\n')) {
    const [, sha256, asset, target, archive] = /^([0-9a-f]{64}) [ *](batchstep-(.+)\.(tar\.gz|zip))$/.exec(line) ?? [];
    if (!target) continue;
    if (targets[target]) throw new Error(`${target} is released twice.`);
    // The tar archives have a folder at the top, the zip archives have none.
    const bin = archive === 'zip' ? 'batchstep.exe' : `batchstep-${target}/batchstep`;
    targets[target] = { asset, sha256, bin };
  }
  const wrong = [...TARGETS, ...Object.keys(targets)].filter((name) => !targets[name] || !TARGETS.includes(name));
  if (wrong.length > 0) throw new Error(`The release is not what the action expects: ${wrong.join(', ')}.`);
  return {
    '//': 'The release that the launcher downloads: for each target its asset, the SHA-256 of the asset, and the path of the binary inside. Written by .github/pin-release.js.',
    version,
    // cargo-dist puts no version into an asset's name. The address ends in it, as every tag that is
    // taken here does; the launcher insists on that.
    base_url: `https://github.com/batchstep/batchstep/releases/download/${tag}`,
    targets: Object.fromEntries(TARGETS.map((name) => [name, targets[name]])),
  };
}

/**
 * Refuses a release whose reusable workflow (the text `workflow`) uses the action of another release. This cannot be
 * corrected afterwards, because a workflow's token may not push changes to workflows.
 */
function requireOwnAction(tag, workflow) {
  const named = [...workflow.matchAll(/uses: batchstep\/batchstep@(\S+)/g)].map(([, ref]) => `cli/${ref}`);
  const wrong = named.filter((ref) => ref !== tag);
  if (named.length === 0 || wrong.length > 0) throw new Error(`batch.yml does not name the action of ${tag}: ${wrong.join(', ')}.`);
}

module.exports = { manifest, requireOwnAction };

if (require.main === module) {
  const [tag, sums] = process.argv.slice(2);
  requireOwnAction(tag, fs.readFileSync(path.join(__dirname, 'workflows', 'batch.yml'), 'utf8'));
  process.stdout.write(`${JSON.stringify(manifest(tag, fs.readFileSync(sums, 'utf8')), null, 2)}\n`);
}
