function (head, req) {
  // Over conflicts_by_date, newest first: the studies whose instances disagree, or those that people corrected.
  var conflicts = require('lib/pages/conflicts');
  var html = require('lib/pages/html');
  var pages = require('lib/pages/pages');

  function read() {
    var size = Math.min(Number(req.query.size) || 50, require('tables/limits').mostConflicts);
    var rows = [];
    var next = null;
    var row;
    while ((row = getRow())) {
      if (rows.length === size) {
        next = row.key;
        break;
      }
      rows.push(row);
    }
    return { studies: conflicts.page(rows), next: next, state: rows.length ? rows[0].key[0] : req.query.state };
  }

  provides('html', function () {
    start({ headers: html.HEADERS });
    var page = read();
    return pages.list(page.studies, { state: page.state, next: page.next, ui: html.place(req) });
  });
  provides('json', function () {
    return JSON.stringify(read());
  });
}
