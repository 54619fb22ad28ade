// One wanted value against one stored value, for each kind of VR (PS3.4 C.2.2.2.1 to C.2.2.2.5).
var normalise = require('views/lib/normalise');
var wildcard = require('lib/match/wildcard');
var temporal = require('lib/match/temporal');
var fuzzy = require('lib/match/fuzzy');
var vrs = require('tables/vrs');

// Wild cards have a meaning only in these (PS3.4 C.2.2.2.4).
var WILD = { AE: 1, CS: 1, LO: 1, LT: 1, PN: 1, SH: 1, ST: 1, UC: 1, UR: 1, UT: 1 };
var TEXT = { LT: 1, ST: 1, UT: 1 };

function isNumeric(vr) {
  return vrs.numeric.indexOf(vr) >= 0;
}

// Leading blanks of texts are significant, those of other VRs are padding (PS3.5 6.2).
function clean(vr, value) {
  var text = value.replace(/[ \u0000]+$/, '');
  return TEXT[vr] ? text : text.replace(/^[ \u0000]+/, '');
}

// A name of five components has at most three stars that are no neighbours; patterns with more are taken as they are.
var MOST_STARS = 3;

// A component that is a star alone may be empty, and then its delimiter is not there: "DOE^*" finds DOE, "*^JOHN" finds ^JOHN and
// "DOE^*^A" finds DOE^^A. These are the patterns any of which may match.
function patterns(group) {
  var words = group.split(' ').filter(function (word, index, all) {
    return word !== '*' || all[index - 1] !== '*';
  });
  var stars = words.filter(function (word) {
    return word === '*';
  }).length;
  return stars > MOST_STARS ? [group] : words.reduce(function (found, word) {
    var longer = found.map(function (some) {
      return some.concat(word);
    });
    return word === '*' ? longer.concat(found) : longer;
  }, [[]]).map(function (some) {
    return some.join(' ');
  });
}

// "DOE^JOHN", "Doe, John" and "doe john" are one name.
function nameGroup(group) {
  if (!wildcard.isWild(group)) {
    return function (text) {
      return text === group;
    };
  }
  var tests = patterns(group).map(wildcard.compile);
  return function (text) {
    return tests.some(function (test) {
      return test(text);
    });
  };
}

// Of letters that are several in a search key, such as the ligature oe, the first one: '?' stands for one character of the name as it
// is written.
function brief(text) {
  return text.replace(/[\u00a0-\uffef]/g, function (letter) {
    var plain = normalise.text(letter);
    return plain.length > 1 ? plain.charAt(0) : letter;
  });
}

function nameTest(value, isFuzzy) {
  if (isFuzzy && !wildcard.isWild(value)) {
    return fuzzy.compile(value);
  }
  var briefly = value.indexOf('?') >= 0 ? nameTestOf(value, brief) : null;
  var plainly = nameTestOf(value, String);
  return function (stored) {
    return plainly(stored) || (briefly !== null && briefly(stored));
  };
}

function nameTestOf(value, written) {
  var tests = value.split('=').map(written).map(normalise.name).filter(function (group) {
    return group !== '';
  }).map(nameGroup);
  return function (stored) {
    return ['Alphabetic', 'Ideographic', 'Phonetic'].some(function (key) {
      var text = typeof stored[key] === 'string' ? normalise.name(written(stored[key])) : '';
      return text !== '' && tests.some(function (test) {
        return test(text);
      });
    });
  };
}

function numberTest(wanted) {
  var number = Number(wanted);
  return function (stored) {
    return String(stored) === wanted || (wanted !== '' && stored !== '' && Number(stored) === number);
  };
}

function ofStrings(test) {
  return function (stored, zone) {
    return typeof stored === 'string' && test(stored, zone);
  };
}

// A test for one wanted value: function (stored value, zone) with the data set's offset from UTC.
exports.compile = function (vr, value, isFuzzy) {
  if (vr === 'PN') {
    var name = nameTest(value, isFuzzy);
    return function (stored) {
      return stored !== null && typeof stored === 'object' && name(stored);
    };
  }
  var wanted = clean(vr, value);
  if (isNumeric(vr)) {
    return numberTest(wanted);
  }
  if (vr === 'DA' || vr === 'TM' || vr === 'DT') {
    return ofStrings(temporal.compile(vr, wanted));
  }
  if (WILD[vr] && wildcard.isWild(wanted)) {
    var wild = wildcard.compile(wanted);
    return ofStrings(function (stored) {
      return wild(clean(vr, stored));
    });
  }
  if (vr === 'AT') {
    wanted = wanted.toUpperCase();
  }
  return ofStrings(function (stored) {
    return clean(vr, stored) === wanted;
  });
};

// Whether a value is compared as it is. A list of such values, however long, takes one look-up.
exports.isPlain = function (vr, value) {
  return vr !== 'PN' && !isNumeric(vr) && vr !== 'DA' && vr !== 'TM' && vr !== 'DT' && vr !== 'AT' &&
    !(WILD[vr] && wildcard.isWild(value));
};

exports.clean = clean;

// An empty value and '*' alone match whatever there is (PS3.4 C.2.2.2.3, C.2.2.2.4).
exports.isUniversal = function (value) {
  return value === '' || /^\*+$/.test(value);
};

// A value that says nothing: PS3.18 F.2.5 writes it as null.
exports.isEmpty = function (value) {
  if (value === null || value === undefined || value === '') {
    return true;
  }
  return typeof value === 'object' && !['Alphabetic', 'Ideographic', 'Phonetic'].some(function (group) {
    return value[group];
  });
};
