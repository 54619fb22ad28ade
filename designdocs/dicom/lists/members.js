function (head, req) {
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/members').run(req, getRow, send);
}
