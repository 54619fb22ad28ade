// Wild card matching (PS3.4 C.2.2.2.4): '*' is any sequence of characters, '?' any one. Two pointers and no recursion:
// the cost is at most the product of the lengths, whatever the pattern.

// Characters, not UTF-16 code units: '?' must match one character of every plane.
function characters(text) {
  return /[\ud800-\udbff]/.test(text) ? Array.from(text) : text;
}

exports.isWild = function (pattern) {
  return pattern.indexOf('*') >= 0 || pattern.indexOf('?') >= 0;
};

exports.compile = function (source) {
  var pattern = characters(source.replace(/\*+/g, '*'));
  var least = pattern.length - source.replace(/\*+/g, '*').split('*').length + 1;
  return function (value) {
    var text = characters(value);
    // A pattern that needs more characters than there are is done with at once.
    if (text.length < least) {
      return false;
    }
    var t = 0;
    var p = 0;
    var star = -1;
    var mark = 0;
    while (t < text.length) {
      if (p < pattern.length && (pattern[p] === '?' || (pattern[p] === text[t] && pattern[p] !== '*'))) {
        t += 1;
        p += 1;
      } else if (p < pattern.length && pattern[p] === '*') {
        star = p;
        mark = t;
        p += 1;
      } else if (star >= 0) {
        p = star + 1;
        mark += 1;
        t = mark;
      } else {
        return false;
      }
    }
    while (p < pattern.length && pattern[p] === '*') {
      p += 1;
    }
    return p === pattern.length;
  };
};
