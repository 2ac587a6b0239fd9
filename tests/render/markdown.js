// Markdown as GitHub makes HTML of it: its flavour, its sanitizer's rules, its alerts and style sheet.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import rehypeRaw from 'rehype-raw';
import rehypeSanitize, { defaultSchema } from 'rehype-sanitize';
import rehypeStringify from 'rehype-stringify';
import remarkGfm from 'remark-gfm';
import { remarkAlert } from 'remark-github-blockquote-alert';
import remarkParse from 'remark-parse';
import remarkRehype from 'remark-rehype';
import { unified } from 'unified';

const processor = (...plugins) => {
  const parser = unified().use(remarkParse).use(remarkGfm, { singleTilde: false });
  const [remark, rehype] = plugins;
  if (remark) parser.use(remark);
  const raw = parser.use(remarkRehype, { allowDangerousHtml: true }).use(rehypeRaw);
  return (rehype ? raw.use(rehype, defaultSchema) : raw).use(rehypeStringify);
};
// GitHub sanitizes what authors write before it draws alerts, whose elements the sanitizer would remove.
export const [asWritten, sanitized, drawn] = [processor(), processor(null, rehypeSanitize), processor(remarkAlert)];

// The plugin writes an alert's title in capitals.
const titled = (page) => page.replaceAll(
  /(markdown-alert-title.*?<\/svg>)([A-Z])([A-Z]+)/g,
  (_, before, first, rest) => before + first + rest.toLowerCase(),
);
export const html = (markdown, how) => titled(String(how.processSync(markdown)));

/** GitHub's style sheet, `light` or `dark`, with the gap behind an alert's icon, which is not in it. */
export const style = (theme) => {
  const css = createRequire(import.meta.url).resolve(`github-markdown-css/github-markdown-${theme}.css`);
  return `${readFileSync(css, 'utf8')} body{margin:0} .markdown-alert-title svg{margin-right:8px}`;
};
