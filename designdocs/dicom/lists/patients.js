function (head, req) {
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/patients').run(req, getRow, send);
}
