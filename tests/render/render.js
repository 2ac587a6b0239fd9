// Draws pages of Markdown as GitHub does: its flavour of Markdown, its sanitizer's rules, its alerts and style
// sheet, at the width of a job summary. Writes a picture of each page, and of what it folds. Fails if a page that
// reports a success is as tall as a screen, if anything is wider than its column, if GitHub would remove an
// element, or if hostile text makes another element than tame text does.
//
//     node render.js PAGES PICTURES
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import rehypeRaw from 'rehype-raw';
import rehypeSanitize, { defaultSchema } from 'rehype-sanitize';
import rehypeStringify from 'rehype-stringify';
import remarkGfm from 'remark-gfm';
import { remarkAlert } from 'remark-github-blockquote-alert';
import remarkParse from 'remark-parse';
import remarkRehype from 'remark-rehype';
import { unified } from 'unified';

const WIDTH = 1012;
const SCREEN = 500;
const FIT_ON_A_SCREEN = /^(all-well|attached|simulated|skipped|pending|detached)(\.comment)?$/;
const [pages, pictures] = process.argv.slice(2);
const css = createRequire(import.meta.url).resolve('github-markdown-css/github-markdown-light.css');
const style = `${readFileSync(css, 'utf8')} body{margin:0} article{box-sizing:border-box;padding:16px}`;

const processor = (...plugins) => {
  const parser = unified().use(remarkParse).use(remarkGfm, { singleTilde: false });
  const [remark, rehype] = plugins;
  if (remark) parser.use(remark);
  const raw = parser.use(remarkRehype, { allowDangerousHtml: true }).use(rehypeRaw);
  return (rehype ? raw.use(rehype, defaultSchema) : raw).use(rehypeStringify);
};
// GitHub sanitizes what authors write before it draws alerts, whose elements the sanitizer would remove.
const [asWritten, sanitized, drawn] = [processor(), processor(null, rehypeSanitize), processor(remarkAlert)];
const html = (markdown, how) => String(how.processSync(markdown));

/** The elements of a page in their order, without what is in them. */
const elements = (markdown, how) => [...html(markdown, how).matchAll(/<\/?([a-z0-9]+)/g)].map(([tag]) => tag).join(' ');

/** What a page is built of, whether a text is shown as code or not: that depends on its characters. */
const shape = (markdown) => elements(markdown, drawn).replaceAll(/ ?<\/?code/g, '');

let failed = 0;
const fail = (name, why) => {
  failed += 1;
  console.error(`${name}: ${why}`);
};
mkdirSync(pictures, { recursive: true });
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb'],
});
const tab = await browser.newPage();
const beyond = () => tab.evaluate(() => {
  const wide = [...document.querySelectorAll('table')].map((table) => table.scrollWidth - table.clientWidth);
  return Math.max(document.documentElement.scrollWidth - document.documentElement.clientWidth, ...wide);
});
const names = readdirSync(pages).filter((name) => name.endsWith('.md')).map((name) => name.slice(0, -3)).sort();
for (const name of names) {
  const markdown = readFileSync(join(pages, `${name}.md`), 'utf8');
  if (elements(markdown, asWritten) !== elements(markdown, sanitized)) fail(name, 'GitHub would remove an element');
  const hostile = /^(hostile.*)-\d+$/.exec(name);
  if (hostile) {
    const tame = readFileSync(join(pages, `${hostile[1]}-00.md`), 'utf8');
    if (shape(markdown) !== shape(tame)) fail(name, 'hostile text makes elements');
    continue;
  }
  await tab.setViewport({ width: WIDTH, height: SCREEN });
  await tab.setContent(
    `<!doctype html><meta charset="utf-8"><style>${style}</style><article class="markdown-body">${html(markdown, drawn)}`,
  );
  const height = await tab.evaluate(() => Math.ceil(document.querySelector('article').getBoundingClientRect().height));
  await tab.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  const shut = await beyond();
  const folds = await tab.$$eval('details', (all) => all.map((fold) => (fold.open = true)).length);
  if (folds > 0) {
    await tab.setViewport({ width: WIDTH, height: 2 * SCREEN });
    await tab.screenshot({ path: join(pictures, `${name}.open.png`), fullPage: true });
  }
  console.log(`${String(height).padStart(5)} px  ${name}`);
  if (Math.max(shut, await beyond()) > 0) fail(name, 'something is wider than its column');
  if (FIT_ON_A_SCREEN.test(name) && height >= SCREEN) fail(name, `${height} px tall, not below ${SCREEN}`);
}
await browser.close();
console.log(`${names.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 || names.length === 0 ? 1 : 0;
