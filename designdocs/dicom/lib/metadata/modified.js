// What people's fixes change in an instance's data set, and its Original Attributes Sequence that says so (PS3.3 C.12.1.1.9).
// Everything in JSON comes from here: metadata, also of data sets in attachments (shim/read/javascript.py), and rows of
// searches. Files are corrected by shim/dicom/correct.py; tests/fixtures/corrected.json holds both together.
var compare = require('lib/headers/compare');

var SEQUENCE = '04000561';

function overlay(dataset, values) {
  var result = {};
  Object.keys(dataset).concat(Object.keys(values)).sort().forEach(function (tag) {
    var value = Object.prototype.hasOwnProperty.call(values, tag) ? values[tag] : dataset[tag];
    if (value) {
      result[tag] = value;
    }
  });
  return result;
}

// The fixes that change the instance, whose own value is another: [{ tag, value, original, at }], the oldest first.
exports.changes = function (doc, corrections) {
  var series = doc._id.split(':')[1];
  var found = [];
  corrections.forEach(function (correction) {
    var fixes = correction.series === null || correction.series === series ? correction.fixes : {};
    Object.keys(fixes).forEach(function (tag) {
      if (!compare.same(doc.dataset[tag], fixes[tag].value)) {
        found.push({ tag: tag, value: fixes[tag].value, original: doc.dataset[tag] || null, at: fixes[tag].at });
      }
    });
  });
  return found.sort(function (a, b) {
    return a.at < b.at ? -1 : a.at > b.at ? 1 : a.tag < b.tag ? -1 : 1;
  });
};

// 2026-11-23T08:00:00.123Z as a DT (PS3.5 6.2).
function dateTime(at) {
  return at.replace(/[-:T]/g, '').replace('Z', '+0000');
}

// One item for each time of a fix.
function items(changes) {
  var found = [];
  changes.forEach(function (change) {
    var last = found[found.length - 1];
    if (!last || last.at !== change.at) {
      last = { at: change.at, before: {} };
      found.push(last);
    }
    last.before[change.tag] = change.original || { vr: change.value.vr };
  });
  return found.map(function (item) {
    return {
      '04000550': { vr: 'SQ', Value: [overlay({}, item.before)] },
      '04000562': { vr: 'DT', Value: [dateTime(item.at)] },
      '04000563': { vr: 'LO', Value: ['dicouch'] },
      '04000564': { vr: 'LO' },
      '04000565': { vr: 'CS', Value: ['CORRECT'] }
    };
  });
}

// The data set of an instance as it is answered: its own, and over it what people fixed. Its Original Attributes Sequence
// then says what that replaced.
exports.dataset = function (doc, corrections) {
  var changes = exports.changes(doc, corrections);
  var values = {};
  changes.forEach(function (change) {
    values[change.tag] = change.value;
  });
  if (changes.length) {
    var own = doc.dataset[SEQUENCE] && Array.isArray(doc.dataset[SEQUENCE].Value) ? doc.dataset[SEQUENCE].Value : [];
    values[SEQUENCE] = { vr: 'SQ', Value: own.concat(items(changes)) };
  }
  return overlay(doc.dataset, values);
};

// How the reader words it. Only for documents stored before it set `file.unordered`.
var DISORDER = /is not in ascending order|appears more than once|more warnings/;

// Whether the elements of an instance's file are in ascending order (PS3.5 7.1), so that its head holds all that precede a tag.
exports.isOrdered = function (doc) {
  if (doc.file && doc.file.unordered) {
    return false;
  }
  return !(Array.isArray(doc.warnings) ? doc.warnings : []).some(function (warning) {
    return DISORDER.test(warning);
  });
};
