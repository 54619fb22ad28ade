function (doc) {
  // What differs from some instance, by study: the header's values where instances disagree, and what people fixed.
  if (doc.type !== 'study' && doc.type !== 'series') {
    return;
  }
  // Most headers have neither: they need no module.
  var silent = [doc.variants, doc.fixes].every(function (said) {
    return !said || typeof said !== 'object' || !Object.keys(said).length;
  });
  if (silent) {
    return;
  }
  var rows = require('views/lib/rows');
  var decisions = require('views/lib/decisions');
  if (!rows.isStudy(doc) && !rows.isSeries(doc)) {
    return;
  }
  var fixes = decisions.fixes(doc);
  var told = decisions.disagreeing(doc);
  var value = { series: doc.type === 'series' ? rows.uids(doc).series : null, dataset: {} };
  told.forEach(function (tag) {
    value.dataset[tag] = doc.dataset[tag] || null;
  });
  var fixed = Object.keys(fixes);
  if (fixed.length) {
    value.fixes = {};
    fixed.forEach(function (tag) {
      value.fixes[tag] = { value: fixes[tag].value, at: fixes[tag].at };
    });
  }
  if (told.length || fixed.length) {
    emit(rows.uids(doc).study, value);
  }
}
