function (head, req) {
  // Over the documents of one study: each value of the attributes that disagree, with the series and instances that carry it.
  var html = require('lib/pages/html');
  var pages = require('lib/pages/pages');

  function read() {
    var collect = require('lib/pages/conflicts').collector();
    var row;
    while ((row = getRow())) {
      if (row.doc) {
        collect.add(row.doc);
      }
    }
    return collect.report();
  }

  provides('html', function () {
    var report = read();
    start({ code: report ? 200 : 404, headers: html.HEADERS });
    return report ? pages.study(report, {
      ui: html.place(req), user: req.query.anonymous ? '' : req.userCtx && req.userCtx.name, done: req.query.done,
      problem: req.query.problem, token: req.query.token
    }) : pages.missing({ ui: html.place(req) });
  });
  provides('json', function () {
    var report = read();
    start({ code: report ? 200 : 404, headers: { 'Content-Type': 'application/json' } });
    return JSON.stringify(report);
  });
}
