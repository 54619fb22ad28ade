// Which attributes of a header disagree without a decision, and which people fixed.

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// What people fixed in a header; malformed fixes are left out.
function fixes(doc) {
  var found = {};
  Object.keys(isObject(doc.fixes) ? doc.fixes : {}).forEach(function (tag) {
    var fix = doc.fixes[tag];
    if (isObject(fix) && isObject(fix.value) && typeof fix.at === 'string') {
      found[tag] = fix;
    }
  });
  return found;
}

// Attributes that disagree among a header's instances and that nobody has decided on. Older headers have variants of what is
// not of their level now.
function disagreeing(doc) {
  var decided = fixes(doc);
  var told = Object.keys(isObject(doc.variants) ? doc.variants : {});
  var own = told.length ? require('views/lib/tables/levels')[doc.type] : {};
  return told.filter(function (tag) {
    return typeof own[tag] === 'string' && !decided[tag];
  });
}

exports.fixes = fixes;
exports.disagreeing = disagreeing;
