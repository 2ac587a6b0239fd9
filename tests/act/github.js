// GitHub's API as far as the ledger meets it, with a memory: checks, comments and
// open pull requests. What each call may hold is proven elsewhere, against GitHub's
// published schemas; here it only has to remember.
'use strict';
const http = require('node:http');

/** Serves a repository; resolves to its address and what it remembers. */
function serve({ token, pulls }) {
  const state = { checks: [], comments: [], calls: [] };
  let id = 100;
  const routes = [
    ['GET', /^\/user$/, () => [403, { message: 'Resource not accessible by integration' }]],
    ['GET', /^\/pulls$/, () => [200, pulls.map(({ number, sha }) => ({ number, head: { sha } }))]],
    ['GET', /^\/commits\/(\w+)\/check-runs$/, (_, [sha], query) => {
      const wanted = (check) => check.head_sha === sha && (!query.get('status') || check.status === query.get('status'));
      const found = state.checks.filter(wanted);
      return [200, { total_count: found.length, check_runs: found }];
    }],
    ['POST', /^\/check-runs$/, (body) => [201, keep(state.checks, { conclusion: null, ...body })]],
    ['GET', /^\/check-runs\/(\d+)$/, (_, [one]) => answer(find(state.checks, one))],
    ['PATCH', /^\/check-runs\/(\d+)$/, (body, [one]) => answer(change(find(state.checks, one), body))],
    ['GET', /^\/issues\/(\d+)\/comments$/, (_, [issue]) => [200, state.comments.filter((comment) => comment.issue === issue)]],
    ['POST', /^\/issues\/(\d+)\/comments$/, (body, [issue]) => [201, keep(state.comments, { ...body, issue, user: { id: 1, type: 'Bot' } })]],
    ['PATCH', /^\/issues\/comments\/(\d+)$/, (body, [one]) => answer(change(find(state.comments, one), body))],
  ];
  const keep = (list, object) => list[list.push({ id: ++id, ...object }) - 1];
  const find = (list, one) => list.find((object) => object.id === Number(one));
  const change = (object, body) => object && Object.assign(object, body);
  const answer = (object) => (object ? [200, object] : [404, { message: 'Not Found' }]);
  const act = (request, body) => {
    const url = new URL(request.url, 'http://localhost');
    const path = url.pathname.replace('/repos/octo/repo', '');
    state.calls.push(`${request.method} ${path}`);
    if (request.headers.authorization !== `Bearer ${token}`) return [401, { message: 'Bad credentials' }];
    for (const [method, pattern, handle] of routes) {
      const match = request.method === method && path.match(pattern);
      if (match) return handle(body && JSON.parse(body), match.slice(1), url.searchParams);
    }
    return [404, { message: 'No such call' }];
  };
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const [status, reply] = act(request, body);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(reply));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ server, state, pulls, url: `http://127.0.0.1:${server.address().port}` }));
  });
}

module.exports = { serve };
