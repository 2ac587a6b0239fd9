// The picture in the README: the summary of a run of which some requests failed. Draws it for a light and a dark page,
// or checks that what was drawn is still what the program writes. It compares the page and the files by their
// hashes, not the pixels: those depend on the machine's fonts.
//
//     node picture.js PAGES IMAGES [--write]
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { drawn, html, style } from './markdown.js';

const PAGE = 'some-failed';
const WIDTH = 1012; // Of a job summary.
const LARGEST = 100_000;
const THEMES = { light: '#d1d9e0', dark: '#3d444d' };
const [pages, images, option] = process.argv.slice(2);
const page = html(readFileSync(join(pages, `${PAGE}.md`), 'utf8'), drawn);
const file = (theme) => join(images, `summary-${theme}.png`);

const draw = async (tab, theme, border) => {
  const frame = `article{box-sizing:border-box;padding:24px;border:1px solid ${border};border-radius:6px}`;
  await tab.setContent(
    `<!doctype html><meta charset="utf-8"><style>${style(theme)} ${frame}</style><article class="markdown-body">${page}`,
  );
  await (await tab.$('article')).screenshot({ path: file(theme), omitBackground: true });
  execFileSync('pngquant', ['--force', '--speed', '1', '--strip', '--output', file(theme), '64', file(theme)]);
};

if (option === '--write') {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'],
  });
  const tab = await browser.newPage();
  await tab.setViewport({ width: WIDTH, height: 500, deviceScaleFactor: 2 });
  for (const [theme, border] of Object.entries(THEMES)) await draw(tab, theme, border);
  await browser.close();
}

const hash = (content) => createHash('sha256').update(content).digest('hex');
const files = Object.keys(THEMES).map((theme) => [file(theme), readFileSync(file(theme))]);
const sums = [[`${PAGE}.html`, page], ...files].map(([name, content]) => `${hash(content)}  ${name.split('/').pop()}\n`);
const list = join(images, 'summary.sha256');
if (option === '--write') writeFileSync(list, sums.join(''));
const fail = (why) => {
  console.error(`The README's picture ${why}: run .ci/render --write, and look at it.`);
  process.exitCode = 1;
};
if (readFileSync(list, 'utf8') !== sums.join('')) {
  fail('is not of this version');
} else if (files.some(([, content]) => content.length > LARGEST)) {
  fail(`has more than ${LARGEST} bytes`);
} else {
  console.log(`The README's picture shows the summary as it is: ${files.map(([, content]) => content.length)} bytes`);
}
