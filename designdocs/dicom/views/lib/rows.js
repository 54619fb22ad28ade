// What the index rows of studies, series and instances have: the values that lists match and show. CouchDB compiles this
// module again for each view at every update of the index, so it requires a table only where it is needed.

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

// First value of an attribute as a string without padding, '' where there is none.
function first(dataset, tag) {
  var attribute = isObject(dataset) ? dataset[tag] : null;
  var value = isObject(attribute) && Array.isArray(attribute.Value) ? attribute.Value[0] : null;
  return value === null || value === undefined || typeof value === 'object' ? '' : String(value).replace(/^ +| +$/g, '');
}

// A number to sort by. What has none comes last: `lastNumber` of tables/limits, written out to spare the views a module.
function number(dataset, tag) {
  var text = first(dataset, tag);
  var value = text === '' ? NaN : Number(text);
  return isFinite(value) ? value : 4294967295;
}

function modalities(doc) {
  var found = [];
  var series = isObject(doc.series) ? doc.series : {};
  Object.keys(series).forEach(function (uid) {
    if (typeof series[uid] === 'string' && series[uid] && found.indexOf(series[uid]) < 0) {
      found.push(series[uid]);
    }
  });
  return found.sort();
}

function copy(dataset) {
  var result = {};
  Object.keys(dataset).forEach(function (tag) {
    result[tag] = dataset[tag];
  });
  return result;
}

// The UIDs that a document's id names.
function uids(doc) {
  var parts = String(doc._id).split(':');
  return { study: parts[0], series: parts[1], instance: parts[2] };
}

// A study's sort key: date and time as digits, newest last. What is no date sorts before all dates, so that a range of
// dates in an index has exactly what matches it.
function when(dataset) {
  var date = first(dataset, '00080020').replace(/\./g, '');
  var time = first(dataset, '00080030').replace(/:/g, '');
  return [/^\d{8}$/.test(date) ? date : '', /^\d/.test(time) ? time : ''];
}

function seriesWhen(dataset) {
  return [first(dataset, '00080021').replace(/\./g, ''), first(dataset, '00080031').replace(/:/g, '')];
}

exports.first = first;
exports.seriesWhen = seriesWhen;
exports.modalities = modalities;
exports.number = number;
exports.uids = uids;
exports.when = when;

exports.isStudy = function (doc) {
  return doc.type === 'study' && isObject(doc.dataset);
};

exports.isSeries = function (doc) {
  return doc.type === 'series' && isObject(doc.dataset);
};

exports.isInstance = function (doc) {
  return doc.type === 'instance' && isObject(doc.dataset) && isObject(doc.file);
};

exports.study = function (doc) {
  var dataset = copy(doc.dataset);
  var found = modalities(doc);
  dataset['00080061'] = found.length ? { vr: 'CS', Value: found } : { vr: 'CS' };
  return { dataset: dataset };
};

exports.series = function (doc) {
  return { study: uids(doc).study, dataset: doc.dataset };
};

// AvailableTransferSyntaxUID: empty where the bytes of an instance are nowhere, whatever they would be.
function available(file) {
  return { vr: 'UI', Value: [file.store === 'none' ? '' : file.transferSyntax] };
}

exports.instance = function (doc) {
  var ids = uids(doc);
  var dataset = {};
  require('views/lib/tables/levels').instance.forEach(function (tag) {
    if (doc.dataset[tag]) {
      dataset[tag] = doc.dataset[tag];
    }
  });
  dataset['00083002'] = available(doc.file);
  return {
    study: ids.study,
    series: ids.series,
    dataset: dataset,
    file: { store: doc.file.store, size: doc.file.size, transferSyntax: doc.file.transferSyntax }
  };
};

// Where the bytes of an instance and its frames are, so that reading a series takes no documents. The places of frames
// are left out when they are long, as with many fragments.
exports.file = function (doc) {
  var file = doc.file;
  var told = { store: file.store, size: file.size, transferSyntax: file.transferSyntax, sha256: file.sha256 };
  var attached = isObject(doc._attachments) && doc._attachments['object.dcm'];
  if (attached && attached.digest) {
    told.digest = attached.digest;
  }
  if (file.mended) {
    told.mended = file.mended;
  }
  if (file.recoded) {
    told.recoded = true;
  }
  if (isObject(file.frames) && isObject(file.bulk) && !file.deflated && JSON.stringify(file.frames).length <= 200) {
    ['7FE00010', '7FE00008', '7FE00009'].some(function (tag) {
      if (file.bulk[tag]) {
        told.frames = file.frames;
        told.bulk = {};
        told.bulk[tag] = file.bulk[tag];
      }
      return file.bulk[tag];
    });
  }
  return told;
};

// The whole data set of an instance's document, with its transfer syntax, which is no attribute of it (PS3.10 7.1).
exports.whole = function (doc) {
  var dataset = copy(doc.dataset);
  dataset['00083002'] = available(doc.file);
  return { dataset: dataset };
};
