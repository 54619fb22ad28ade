// Which attributes a row of a search answer has (PS3.18 Tables 10.6.3-3 to 10.6.3-5). shim/rewrite/columns.py does the same for
// rows that come straight from a view; tests/designdocs/test_columns.py compares them.
var attributes = require('tables/levels');
var metadata = require('lib/metadata/metadata');
var returned = require('tables/returned');

var REQUIRED = returned.required;
var CONDITIONAL = returned.conditional;

// An attribute with no more than the wanted attributes of its items.
function pick(attribute, fields) {
  if (fields === true || !Array.isArray(attribute.Value)) {
    return attribute;
  }
  return {
    vr: attribute.vr,
    Value: attribute.Value.map(function (item) {
      var some = {};
      Object.keys(fields).sort().forEach(function (tag) {
        if (item && item[tag]) {
          some[tag] = pick(item[tag], fields[tag]);
        }
      });
      return some;
    })
  };
}

// What both want: all of an attribute, or the attributes that either wants of its items.
function joined(a, b) {
  if (!a || !b || a === true || b === true) {
    return a === true || b === true || a || b;
  }
  var both = {};
  Object.keys(a).concat(Object.keys(b)).forEach(function (tag) {
    both[tag] = joined(a[tag], b[tag]);
  });
  return both;
}

function wantedOf(level, include, only) {
  var wanted = {};
  [only ? {} : REQUIRED[level], only ? {} : CONDITIONAL[level], include === 'all' ? {} : include].forEach(function (some) {
    Object.keys(some).forEach(function (tag) {
      wanted[tag] = joined(wanted[tag], typeof some[tag] === 'string' ? true : some[tag]);
    });
  });
  return wanted;
}

// A renderer of rows. include: 'all', or a tree of what is wanted besides: { tag: true or a tree }; only: nothing else.
// base: the absolute URL of the DICOMweb root, for bulk data. 'all' of an instance leaves out what its parents have.
exports.renderer = function (level, options) {
  var required = options.only ? {} : REQUIRED[level];
  var include = options.include || {};
  var wanted = wantedOf(level, include, options.only);
  var outside = {};
  (level === 'instance' ? [attributes.study, attributes.series] : []).forEach(function (some) {
    Object.keys(some).forEach(function (tag) {
      outside[tag] = true;
    });
  });
  var named = Object.keys(wanted).sort();
  function tags(dataset) {
    return include !== 'all' ? named : named.concat(Object.keys(dataset).filter(function (tag) {
      return !wanted[tag] && !outside[tag];
    })).sort();
  }
  // record: what a row says; id: of its document.
  return function (record, id) {
    var dataset = record.dataset;
    var row = {};
    tags(dataset).forEach(function (tag) {
      if (dataset[tag]) {
        row[tag] = include === 'all' ? dataset[tag] : pick(dataset[tag], wanted[tag]);
      } else if (required[tag]) {
        row[tag] = { vr: required[tag] };
      }
    });
    returned.neverEmpty.forEach(function (tag) {
      if (row[tag] && !row[tag].Value) {
        delete row[tag];
      }
    });
    Object.keys(options.only ? {} : returned.always).forEach(function (tag) {
      row[tag] = returned.always[tag];
    });
    var text = metadata.text(row);
    return level === 'instance' && options.base ? metadata.absolute(text, options.base, id) : text;
  };
};
