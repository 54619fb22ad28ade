function (head, req) {
  // The ids of what a site's own attributes find, over rows of their index or over documents.
  start({ headers: { 'Content-Type': 'application/json' } });
  require('lib/search/members').run(req, getRow, send);
}
