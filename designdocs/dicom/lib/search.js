// The search lists: rows of an index in, one page of a QIDO-RS answer out (PS3.18 10.6).
var match = require('lib/match');
var fields = require('lib/fields');

// The query is JSON in the parameter `q`, or in the body where it is too long for a request line.
function read(req) {
  if (typeof req.query.q === 'string') {
    return JSON.parse(req.query.q);
  }
  // CouchDB has decoded a JSON body already, the embedded database has not.
  return (typeof req.body === 'string' ? JSON.parse(req.body) : req.body).query;
}

function newestFirst(a, b) {
  return a.order < b.order ? 1 : a.order > b.order ? -1 : 0;
}

function text(dataset, tag) {
  var attribute = dataset[tag];
  var value = attribute && attribute.Value ? attribute.Value[0] : '';
  return typeof value === 'string' ? value : '';
}

function order(dataset) {
  return text(dataset, '00080020') + ' ' + text(dataset, '00080030') + ' ' + text(dataset, '0020000D');
}

// query: match (tree), include ('all' or tags), offset, limit, sort (rows are not in order of the answer),
//        rest (go on counting behind the page).
exports.run = function (level, req, getRow, send) {
  var query = read(req);
  var matches = match.compile(query.match || {});
  var render = fields.renderer(level, query.include || []);
  var end = query.offset + query.limit;
  var seen = {};
  var found = [];
  var matched = 0;
  var scanned = 0;
  var row = getRow();
  while (row) {
    scanned += 1;
    // A row that POSTed keys did not find is { error: 'not_found' }; include_docs makes the document the record.
    var record = row.error ? null : row.doc || row.value;
    if (record && !seen[row.id] && matches(record.dataset)) {
      seen[row.id] = true;
      if (query.sort) {
        found.push({ id: row.id, record: record, order: order(record.dataset) });
      } else if (matched >= query.offset && matched < end) {
        found.push({ id: row.id, record: record });
      }
      matched += 1;
      if (matched > end && !query.sort && !query.rest) {
        break;
      }
    }
    row = getRow();
  }
  if (query.sort) {
    found = found.sort(newestFirst).slice(query.offset, end);
  }
  send(JSON.stringify({
    rows: found.map(function (entry) {
      return { id: entry.id, dataset: render(entry.record.dataset) };
    }),
    matched: matched,
    scanned: scanned
  }));
};
