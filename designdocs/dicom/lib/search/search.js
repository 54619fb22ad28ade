// The search lists: they make one page of a QIDO-RS answer from rows of an index (PS3.18 10.6).
var match = require('lib/match/match');
var modified = require('lib/metadata/modified');
var fields = require('lib/search/fields');
var rows = require('views/lib/rows');

var HEADER = { study: 'isStudy', series: 'isSeries', instance: 'isInstance' };

// The query is JSON in the parameter `q`, or in the body where it is too long for a request line.
exports.read = function (req) {
  if (typeof req.query.q === 'string') {
    return JSON.parse(req.query.q);
  }
  // CouchDB has decoded a JSON body already, the embedded database has not.
  return (typeof req.body === 'string' ? JSON.parse(req.body) : req.body).query;
};

// The study, series or instance of a row: its value, or with include_docs the whole document. null for a key without a row
// and for a document of another kind.
exports.record = function (level, row) {
  if (level === 'workitem') {
    return row.doc && row.doc.type === level ? row.doc : null;
  }
  if (!row.doc) {
    return row.value && row.value.dataset ? row.value : null;
  }
  if (!rows[HEADER[level]](row.doc)) {
    return null;
  }
  return level === 'instance' ? rows.whole(row.doc) : rows[level](row.doc);
};

function place(list) {
  var places = Object.create(null);
  (list || []).forEach(function (uid, index) {
    places[uid] = index;
  });
  return places;
}

function compare(a, b) {
  for (var i = 0; i < a.length; i += 1) {
    if (a[i] !== b[i]) {
      return a[i] < b[i] ? -1 : 1;
    }
  }
  return 0;
}

// Studies come newest first; series and instances in order of their parents (`among`), then by number, then by UID.
var ORDER = {
  study: function (a, b) {
    return compare(b.order, a.order);
  },
  series: function (a, b) {
    return compare(a.order, b.order);
  }
};
ORDER.instance = ORDER.series;

function orderOf(level, id, dataset, places) {
  var uids = id.split(':');
  if (level === 'study') {
    return rows.when(dataset).concat([uids[0]]);
  }
  return level === 'series' ? [places[uids[0]] || 0, rows.number(dataset, '00200011'), uids[1]] :
    [places[uids[1]] || 0, rows.number(dataset, '00200013'), uids[2]];
}

// query: match   keys as a tree (lib/match/match)            fields  what rows have (lib/search/fields); null for ids alone
//        offset, limit                                 sort    rows do not come in the order of the answer
//        rest    go on counting behind the page        among   UIDs of the parents whose rows are wanted, in order
//        corrections  of whole instances: { study: values of corrections_by_study }
//        ordered each row says its place in the order of the answer
exports.run = function (level, req, getRow, send) {
  var query = exports.read(req);
  var matches = match.compile(query.match || {});
  var render = query.fields ? fields.renderer(level, query.fields) : null;
  var corrections = query.corrections || {};
  var places = place(query.among);
  function corrected(entry) {
    var some = corrections[entry.id.split(':')[0]];
    return some ? { dataset: modified.dataset({ _id: entry.id, dataset: entry.record.dataset }, some) } : entry.record;
  }
  var end = query.offset + query.limit;
  var seen = Object.create(null);
  var found = [];
  var matched = 0;
  var scanned = 0;
  var row = end > query.offset || query.sort || query.rest ? getRow() : null;
  while (row) {
    scanned += 1;
    var record = row.error || seen[row.id] ? null : exports.record(level, row);
    if (record && query.among && places[row.id.split(':')[level === 'series' ? 0 : 1]] === undefined) {
      record = null;
    }
    if (record && matches(record.dataset)) {
      seen[row.id] = true;
      if (query.sort || (matched >= query.offset && matched < end)) {
        var order = query.sort || query.ordered ? orderOf(level, row.id, record.dataset, places) : null;
        found.push({ id: row.id, record: record, order: order });
      }
      matched += 1;
    }
    row = matched >= end && !query.sort && !query.rest ? null : getRow();
  }
  if (query.sort) {
    found = found.sort(ORDER[level]).slice(query.offset, end);
  }
  send('{"rows":[' + found.map(function (entry) {
    var order = query.ordered ? ',"order":' + JSON.stringify(entry.order) : '';
    var dataset = render ? ',"dataset":' + render(corrected(entry), entry.id) : '';
    return '{"id":' + JSON.stringify(entry.id) + order + dataset + '}';
  }).join(',\n') + '],"matched":' + matched + ',"scanned":' + scanned + '}\n');
};
