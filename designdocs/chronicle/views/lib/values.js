// Values as a chronicle has them: one value bare, several as an array of texts.

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// The value of an attribute, or what stands for one that is missing or empty.
exports.of = function (doc, tag, fallback) {
  var attribute = doc.dataset[tag];
  var values = isObject(attribute) && Array.isArray(attribute.Value) ? attribute.Value : [];
  return (values.length > 1 ? values.map(String) : values[0]) || fallback;
};

function collect(dataset, found) {
  Object.keys(dataset).forEach(function (tag) {
    var values = isObject(dataset[tag]) && Array.isArray(dataset[tag].Value) ? dataset[tag].Value : [];
    values.forEach(function (value) {
      if (isObject(value) && dataset[tag].vr === 'SQ') {
        collect(value, found);
      } else if (tag === '00081155' && typeof value === 'string') {
        found[value] = true;
      }
    });
  });
  return found;
}

// The instances that a document is about, each once.
exports.referenced = function (doc) {
  var points = isObject(doc.source) && doc.source.instancePoints;
  var found = collect(doc.dataset, Object.create(null));
  Object.keys(isObject(points) ? points : {}).forEach(function (uid) {
    found[uid] = true;
  });
  return Object.keys(found);
};
