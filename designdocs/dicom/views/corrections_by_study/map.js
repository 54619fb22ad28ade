function (doc) {
  // What people fixed in the headers of a study: the only thing that instances and metadata do not say for themselves.
  if (doc.type !== 'study' && doc.type !== 'series') {
    return;
  }
  // Most headers have none: they need no module.
  if (!doc.fixes || typeof doc.fixes !== 'object' || !Object.keys(doc.fixes).length) {
    return;
  }
  var rows = require('views/lib/rows');
  var decisions = require('views/lib/decisions');
  if (!rows.isStudy(doc) && !rows.isSeries(doc)) {
    return;
  }
  var fixes = decisions.fixes(doc);
  var fixed = Object.keys(fixes);
  if (!fixed.length) {
    return;
  }
  var value = { series: doc.type === 'series' ? rows.uids(doc).series : null, fixes: {} };
  fixed.forEach(function (tag) {
    value.fixes[tag] = { value: fixes[tag].value, at: fixes[tag].at };
  });
  emit(rows.uids(doc).study, value);
}
