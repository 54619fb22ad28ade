function (doc) {
  // Headers whose instances disagree ("open"), and headers that people fixed ("fixed"), by date.
  // `_id` links to the study's header: include_docs gives that one, for a series as well.
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
  var uids = rows.uids(doc);
  var series = doc.type === 'series' ? uids.series : '';
  var found = { open: decisions.disagreeing(doc), fixed: Object.keys(decisions.fixes(doc)) };
  ['open', 'fixed'].forEach(function (state) {
    if (found[state].length) {
      emit([state].concat(series ? rows.seriesWhen(doc.dataset) : rows.when(doc.dataset), uids.study, series), {
        _id: uids.study + ':study', summary: String(doc.summary || ''), attributes: found[state].sort()
      });
    }
  });
}
