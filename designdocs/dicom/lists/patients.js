function (head, req) {
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/patients').run(req, getRow, send);
}
