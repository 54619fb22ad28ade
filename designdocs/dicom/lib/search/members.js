// Which studies, series or instances have an attribute: over grouped rows of an index of _design/dicom-extended, whose keys are
// [value, study, series, instance], or over all documents where there is no such index.
var match = require('lib/match/match');
var search = require('lib/search/search');

// The value of an index row as an attribute that the key can be matched against.
function attribute(vr, value) {
  return { vr: vr, Value: [vr === 'PN' ? { Alphabetic: value } : value] };
}

function matcher(query) {
  var leaf = query.leaf;
  if (!leaf) {
    var whole = match.compile(query.match);
    return function (row) {
      return !!row.doc && row.doc.type === query.type && !!row.doc.dataset && whole(row.doc.dataset);
    };
  }
  var test = match.compile({ value: leaf });
  return function (row) {
    return test({ value: attribute(leaf.vr, row.key[0]) });
  };
}

// query: depth  1 for studies, 2 for series, 3 for instances      leaf   the key to match an index row's value against
//        type   of the documents to read, where there is no index  match  the keys to match those against
exports.run = function (req, getRow, send) {
  var query = search.read(req);
  var matches = matcher(query);
  var seen = Object.create(null);
  var scanned = 0;
  var row = getRow();
  while (row) {
    scanned += 1;
    if (matches(row)) {
      var place = row.doc ? row.doc._id.split(':') : row.key.slice(1);
      seen[place.slice(0, query.depth).join(':')] = true;
    }
    row = getRow();
  }
  send(JSON.stringify({ rows: Object.keys(seen), scanned: scanned }) + '\n');
};
