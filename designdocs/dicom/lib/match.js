// Attribute matching (PS3.4 C.2.2.2, PS3.18 8.3.4.1). A query is a tree: { tag: { vr, values } } for an attribute and
// { tag: { vr: 'SQ', items: {…} } } for a sequence, one of whose items must match all of its keys.
var normalise = require('views/lib/normalise');
var wildcard = require('lib/wildcard');
var temporal = require('lib/temporal');
var fuzzy = require('lib/fuzzy');

// Wild cards have a meaning only in these (PS3.4 C.2.2.2.4).
var WILD = { AE: 1, CS: 1, LO: 1, LT: 1, PN: 1, SH: 1, ST: 1, UC: 1, UR: 1, UT: 1 };
var NUMBER = { DS: 1, FD: 1, FL: 1, IS: 1, SL: 1, SS: 1, SV: 1, UL: 1, US: 1, UV: 1 };

function trim(value) {
  return value.replace(/^[ \u0000]+|[ \u0000]+$/g, '');
}

// Text VRs keep leading blanks as significant (PS3.5 6.2), the others do not.
function clean(vr, value) {
  return vr === 'LT' || vr === 'ST' || vr === 'UT' ? value.replace(/[ \u0000]+$/, '') : trim(value);
}

function nameMatcher(value, isFuzzy) {
  if (isFuzzy && !wildcard.isWild(value)) {
    return fuzzy.compile(value);
  }
  // "DOE^JOHN" and "Doe, John" are one name; the delimiters around a wild card are matched by what it stands for.
  var groups = value.split('=').map(normalise.name);
  var tests = groups.map(function (group) {
    return wildcard.isWild(group) ? wildcard.compile(group) : function (text) {
      return text === group;
    };
  });
  return function (stored) {
    if (stored === null || typeof stored !== 'object') {
      return false;
    }
    return ['Alphabetic', 'Ideographic', 'Phonetic'].some(function (key) {
      var text = typeof stored[key] === 'string' ? normalise.name(stored[key]) : '';
      return text !== '' && tests.some(function (test, index) {
        return groups[index] !== '' && test(text);
      });
    });
  };
}

function matcher(vr, value, isFuzzy) {
  var wanted = clean(vr, value);
  if (vr === 'PN') {
    return nameMatcher(value, isFuzzy);
  }
  if (vr === 'DA' || vr === 'TM' || vr === 'DT') {
    return temporal.compile(vr, wanted);
  }
  if (NUMBER[vr]) {
    var number = Number(wanted);
    return function (stored) {
      return stored === wanted || (stored !== '' && Number(stored) === number);
    };
  }
  if (WILD[vr] && wildcard.isWild(wanted)) {
    var test = wildcard.compile(wanted);
    return function (stored) {
      return typeof stored === 'string' && test(clean(vr, stored));
    };
  }
  return function (stored) {
    return typeof stored === 'string' && clean(vr, stored) === wanted;
  };
}

function attributeTest(key) {
  var tests = key.values.map(function (value) {
    return matcher(key.vr, value, key.fuzzy);
  });
  return function (attribute) {
    var stored = attribute && Array.isArray(attribute.Value) ? attribute.Value : [];
    return stored.some(function (value) {
      return value !== null && tests.some(function (test) {
        return test(value);
      });
    });
  };
}

// '*' alone is universal matching as much as an empty value is (PS3.4 C.2.2.2.3, C.2.2.2.4).
function isUniversal(key) {
  return key.values.length === 0 || key.values.some(function (value) {
    return value === '' || (WILD[key.vr] && /^\*+$/.test(value));
  });
}

function compile(tree) {
  var tests = [];
  Object.keys(tree).forEach(function (tag) {
    var key = tree[tag];
    if (key.items) {
      var inner = compile(key.items);
      if (inner.all) {
        return;
      }
      tests.push(function (dataset) {
        var attribute = dataset[tag];
        return !!attribute && Array.isArray(attribute.Value) && attribute.Value.some(function (item) {
          return item !== null && typeof item === 'object' && inner(item);
        });
      });
    } else if (!isUniversal(key)) {
      var test = attributeTest(key);
      tests.push(function (dataset) {
        return test(dataset[tag]);
      });
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
