function (head, req) {
  // A page of a search for instances, over rows of an index or documents (PS3.18 10.6).
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/search').run('instance', req, getRow, send);
}
