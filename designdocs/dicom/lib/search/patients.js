// The list of patients: it makes a row for each patient from index rows of studies. PS3.18 has no such resource, other
// archives do.
var match = require('lib/match/match');
var fields = require('lib/search/fields');
var search = require('lib/search/search');
var rows = require('views/lib/rows');
var names = require('views/lib/names');
var normalise = require('views/lib/normalise');

// One patient is one Patient ID of one issuer. Studies without an ID are of one patient when name and birth date agree.
function identity(dataset) {
  var id = rows.first(dataset, '00100020');
  if (id) {
    return JSON.stringify([id, rows.first(dataset, '00100021')]);
  }
  var name = names.spellings(dataset, '00100010')[0] || '';
  return JSON.stringify(['', normalise.name(name), rows.first(dataset, '00100030')]);
}

function newer(a, b) {
  var left = rows.when(a).join(' ');
  var right = rows.when(b).join(' ');
  return left > right;
}

// query: as lib/search; rows may come in any order, but those of one Patient ID stand together unless `sort` says otherwise.
exports.run = function (req, getRow, send) {
  var query = search.read(req);
  var matches = match.compile(query.match || {});
  var render = query.fields ? fields.renderer('patient', query.fields) : null;
  var end = query.offset + query.limit;
  var patients = {};
  var order = [];
  var seen = Object.create(null);
  var scanned = 0;
  var last = null;
  var row = getRow();
  while (row) {
    scanned += 1;
    var record = row.error || seen[row.id] ? null : search.record('study', row);
    if (record && matches(record.dataset)) {
      seen[row.id] = true;
      var key = identity(record.dataset);
      if (!patients[key]) {
        // Another Patient ID behind the page: all patients on it are complete.
        if (order.length >= end && !query.rest && !query.sort && rows.first(record.dataset, '00100020') !== last) {
          break;
        }
        patients[key] = { studies: [], record: record };
        order.push(key);
      }
      last = rows.first(record.dataset, '00100020');
      patients[key].studies.push(row.id);
      if (newer(record.dataset, patients[key].record.dataset)) {
        patients[key].record = record;
      }
    }
    row = getRow();
  }
  if (query.sort) {
    order.sort();
  }
  send('{"rows":[' + order.slice(query.offset, end).map(function (key) {
    var patient = patients[key];
    return '{"studies":' + JSON.stringify(patient.studies) + (render ? ',"dataset":' + render(patient.record) : '') + '}';
  }).join(',\n') + '],"matched":' + order.length + ',"scanned":' + scanned + '}\n');
};
