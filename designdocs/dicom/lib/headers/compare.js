// Comparing attributes of the DICOM JSON Model by their meaning.

var NUMBERS = { DS: 1, IS: 1 };

// The same text for equal values, whatever the order of their members.
function canonical(value) {
  if (Array.isArray(value)) {
    return '[' + value.map(canonical).join(',') + ']';
  }
  if (value !== null && typeof value === 'object') {
    return '{' + Object.keys(value).sort().map(function (key) {
      return JSON.stringify(key) + ':' + canonical(value[key]);
    }).join(',') + '}';
  }
  return JSON.stringify(value);
}

function isEmpty(attribute) {
  return !attribute || !(attribute.Value && attribute.Value.length || attribute.InlineBinary || attribute.BulkDataURI);
}

// Whether a value is only in one instance's file, so that no other instance can have it.
exports.isBulk = function (attribute) {
  // A quote inside a JSON string is escaped, so this can only be the name of a property.
  return JSON.stringify(attribute || null).indexOf('"BulkDataURI":') >= 0;
};

// The same text for attributes that mean the same: DS and IS may be numbers or strings (PS3.18 F.2.3).
exports.key = function (attribute) {
  if (isEmpty(attribute)) {
    return '';
  }
  if (NUMBERS[attribute.vr] && Array.isArray(attribute.Value)) {
    return attribute.vr + canonical(attribute.Value.map(function (value) {
      return typeof value === 'string' && value !== '' && isFinite(Number(value)) ? Number(value) : value;
    }));
  }
  return canonical(attribute);
};

exports.same = function (a, b) {
  return exports.key(a) === exports.key(b);
};

exports.canonical = canonical;
exports.isEmpty = isEmpty;
