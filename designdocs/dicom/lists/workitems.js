function (head, req) {
  // Search for workitems: one page of rows that match (PS3.18 11.9).
  require('lib/search/search').run('workitem', req, getRow, send);
}
