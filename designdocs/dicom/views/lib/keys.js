// The keys of an attribute that a site has listed: for the views of _design/dicom-extended, which push_views makes.
var normalise = require('views/lib/normalise');
var rows = require('views/lib/rows');

// `numeric` of tables/vrs, written out to spare the views a module.
var NUMBER = { DS: 1, FD: 1, FL: 1, IS: 1, SL: 1, SS: 1, SV: 1, UL: 1, US: 1, UV: 1 };
// The longest value in an index row: longer texts are found by their beginning, and then read whole.
var LONGEST = 200;

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// All values at the end of a path of tags, through all items of the sequences on it.
function values(dataset, path) {
  var attribute = isObject(dataset) ? dataset[path[0]] : null;
  var found = isObject(attribute) && Array.isArray(attribute.Value) ? attribute.Value : [];
  if (path.length === 1) {
    return found;
  }
  return found.reduce(function (all, item) {
    return all.concat(values(item, path.slice(1)));
  }, []);
}

function keysOf(vr, value) {
  if (vr === 'PN') {
    return isObject(value) ? ['Alphabetic', 'Ideographic', 'Phonetic'].map(function (group) {
      return typeof value[group] === 'string' ? normalise.name(value[group]) : '';
    }) : [];
  }
  if (NUMBER[vr]) {
    var number = value === '' || value === null || typeof value === 'object' ? NaN : Number(value);
    return isFinite(number) ? [number] : [];
  }
  var text = typeof value === 'string' ? value.replace(/^[ \u0000]+|[ \u0000]+$/g, '') : '';
  return [(vr === 'DA' ? text.replace(/\./g, '') : text).slice(0, LONGEST)];
}

// Where a document stands: [study], [study, series] or [study, series, instance].
function place(doc) {
  var uids = rows.uids(doc);
  return doc.type === 'study' ? [uids.study] : [uids.study, uids.series].concat(uids.instance || []);
}

// One key a value. type: of the documents that carry the attribute.
exports.of = function (doc, type, path, vr) {
  if (doc.type !== type || !isObject(doc.dataset)) {
    return [];
  }
  var found = [];
  values(doc.dataset, path).forEach(function (value) {
    keysOf(vr, value).forEach(function (key) {
      if (key !== '' && found.indexOf(key) < 0) {
        found.push(key);
      }
    });
  });
  return found.map(function (key) {
    return [key].concat(place(doc));
  });
};
