function (head, req) {
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/search').run('series', req, getRow, send);
}
