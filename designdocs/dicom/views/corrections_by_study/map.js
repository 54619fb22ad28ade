function (doc) {
  // Headers whose values differ from what some instance brought: metadata is answered with these.
  var rows = require('views/lib/rows');
  if (!(rows.isStudy(doc) || rows.isSeries(doc)) || !doc.variants) {
    return;
  }
  var values = {};
  Object.keys(doc.variants).forEach(function (tag) {
    values[tag] = doc.dataset[tag] || null;
  });
  if (Object.keys(values).length) {
    emit(rows.uids(doc).study, { series: doc.type === 'series' ? rows.uids(doc).series : null, dataset: values });
  }
}
