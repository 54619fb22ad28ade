function (head, req) {
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/search').run('study', req, getRow, send);
}
