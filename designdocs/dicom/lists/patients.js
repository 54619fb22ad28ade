function (head, req) {
  // A page of a list of patients, over rows of an index of studies.
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/patients').run(req, getRow, send);
}
