// Attribute matching (PS3.4 C.2.2.2, PS3.18 8.3.4.1). A query is a tree: { tag: { vr, values } } for an attribute and
// { tag: { vr: 'SQ', items: {…} } } for a sequence, one of whose items must match all of its keys. Besides:
//   vr 'UN'   the VR is the stored one (private attributes, and those that may have one of several)
//   fuzzy     names by word and sound            every   all values must be found, not any (C.2.2.2.8)
//   empty     no value matches too (C.2.2.2.7)   time    tag of the TM that makes one range with this DA (C.2.2.2.5.4)
var values = require('lib/match/values');
var temporal = require('lib/match/temporal');

function stored(attribute) {
  return attribute && Array.isArray(attribute.Value) ? attribute.Value : [];
}

function zone(dataset) {
  var offset = stored(dataset['00080201'])[0];
  return typeof offset === 'string' && /^[+-]\d{4}$/.test(offset) ? offset : '';
}

// A test for any of the wanted values: plain ones take one look-up, the others are tried one by one.
function anyTest(vr, wanted, isFuzzy) {
  var plain = Object.create(null);
  var tests = [];
  wanted.forEach(function (value) {
    if (values.isPlain(vr, value)) {
      plain[values.clean(vr, value)] = true;
    } else {
      tests.push(values.compile(vr, value, isFuzzy));
    }
  });
  return function (value, offset) {
    return (typeof value === 'string' && plain[values.clean(vr, value)] === true) || tests.some(function (test) {
      return test(value, offset);
    });
  };
}

function valueTests(key, vr) {
  // UIDs and codes may be a list with commas (PS3.18 8.3.4.1, PS3.5 6.2); that an unknown attribute has these shows only here.
  var wanted = key.vr === 'UN' && (vr === 'UI' || vr === 'CS') ? key.values.join(',').split(',') : key.values;
  return (key.every ? wanted.map(function (value) {
    return [value];
  }) : [wanted]).map(function (some) {
    return anyTest(vr, some, key.fuzzy);
  });
}

function attributeTest(key, tag) {
  var ready = Object.create(null);
  return function (dataset) {
    var attribute = dataset[tag];
    var found = stored(attribute).filter(function (value) {
      return !values.isEmpty(value);
    });
    if (found.length === 0) {
      return key.empty === true;
    }
    var vr = key.vr === 'UN' ? String(attribute.vr) : key.vr;
    var tests = (ready[vr] = ready[vr] || valueTests(key, vr));
    var offset = vr === 'DT' ? zone(dataset) : '';
    return key.values.length > 0 && tests.every(function (test) {
      return found.some(function (value) {
        return test(value, offset);
      });
    });
  };
}

function combinedTest(key, tag, times) {
  var test = temporal.combined(key.values[0], times.values[0]);
  return function (dataset) {
    return test(stored(dataset[tag])[0], stored(dataset[key.time])[0]);
  };
}

function sequenceTest(key, tag) {
  var inner = compile(key.items);
  return function (dataset) {
    var items = stored(dataset[tag]).filter(function (item) {
      return item !== null && typeof item === 'object';
    });
    return (key.empty === true && items.length === 0) || items.some(inner);
  };
}

function isUniversal(key) {
  if (key.empty) {
    return false;
  }
  return key.items ? compile(key.items).all : key.values.some(values.isUniversal) || key.values.length === 0;
}

function compile(tree) {
  var tests = [];
  var combined = {};
  Object.keys(tree).forEach(function (tag) {
    if (tree[tag].time) {
      combined[tree[tag].time] = true;
    }
  });
  Object.keys(tree).forEach(function (tag) {
    var key = tree[tag];
    if (combined[tag] || isUniversal(key)) {
      return;
    }
    if (key.time) {
      tests.push(combinedTest(key, tag, tree[key.time]));
    } else {
      tests.push(key.items ? sequenceTest(key, tag) : attributeTest(key, tag));
    }
  });
  function matches(dataset) {
    return tests.every(function (test) {
      return test(dataset);
    });
  }
  matches.all = tests.length === 0;
  return matches;
}

exports.compile = compile;
