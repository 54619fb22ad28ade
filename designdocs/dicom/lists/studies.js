function (head, req) {
  // A page of a search for studies, over rows of an index or documents (PS3.18 10.6).
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/search').run('study', req, getRow, send);
}
