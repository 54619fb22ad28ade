// fuzzymatching=true (PS3.18 8.3.4.2): every word of the query begins some word of the name, in any order.
var normalise = require('views/lib/normalise');

function words(text) {
  return normalise.name(text).split(/[ .'-]+/).filter(function (word) {
    return word !== '';
  });
}

exports.compile = function (value) {
  var wanted = words(value);
  return function (stored) {
    if (stored === null || typeof stored !== 'object') {
      return false;
    }
    var present = [];
    ['Alphabetic', 'Ideographic', 'Phonetic'].forEach(function (group) {
      if (typeof stored[group] === 'string') {
        present = present.concat(words(stored[group]));
      }
    });
    return wanted.every(function (prefix) {
      return present.some(function (word) {
        return word.indexOf(prefix) === 0;
      });
    });
  };
};
