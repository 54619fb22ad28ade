function (head, req) {
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/members').run(req, getRow, send);
}
