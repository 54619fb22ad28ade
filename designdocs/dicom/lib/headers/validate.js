// The rules for documents: the id says the place in the hierarchy, and the parts have the right form.
var PARTS = { study: 2, series: 2, instance: 3 };

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function refuse(doc, reason) {
  throw { forbidden: doc._id + ': ' + reason };
}

function checkDataset(doc) {
  if (!isObject(doc.dataset)) {
    refuse(doc, 'dataset must be an object in the DICOM JSON Model');
  }
  var tags = Object.keys(doc.dataset);
  // It runs at every write: one test for all attributes, and each on its own only after that fails.
  var vrs = tags.map(function (tag) {
    var attribute = doc.dataset[tag];
    return isObject(attribute) && (attribute.Value === undefined || Array.isArray(attribute.Value)) ? attribute.vr : '';
  });
  if (/^(?:[0-9A-F]{8},)*$/.test(tags.join(',') + (tags.length ? ',' : '')) &&
      /^(?:[A-Z]{2},)*$/.test(vrs.join(',') + (tags.length ? ',' : ''))) {
    return;
  }
  tags.forEach(function (tag) {
    if (!/^[0-9A-F]{8}$/.test(tag)) {
      refuse(doc, 'dataset: "' + tag + '" is not a tag of eight upper-case hexadecimal digits');
    }
    var attribute = doc.dataset[tag];
    if (!isObject(attribute) || !/^[A-Z]{2}$/.test(attribute.vr)) {
      refuse(doc, 'dataset: ' + tag + ' has no vr');
    }
    if (attribute.Value !== undefined && !Array.isArray(attribute.Value)) {
      refuse(doc, 'dataset: the Value of ' + tag + ' must be an array');
    }
  });
}

function checkUid(doc, tag, expected) {
  var attribute = doc.dataset[tag];
  if (!attribute || !attribute.Value || attribute.Value[0] !== expected) {
    refuse(doc, 'dataset: ' + tag + ' must be "' + expected + '", as the id says');
  }
}

function checkFile(doc) {
  var file = doc.file;
  if (!isObject(file)) {
    refuse(doc, 'file must say where the Part 10 bytes are');
  }
  if (typeof file.size !== 'number' || typeof file.transferSyntax !== 'string' || typeof file.store !== 'string') {
    refuse(doc, 'file needs size, transferSyntax and store');
  }
  if (file.store === 'attachment' && !(doc._attachments && doc._attachments['object.dcm'])) {
    refuse(doc, 'the attachment object.dcm is missing');
  }
}

// Fixes change every answer, so a malformed one must not be stored.
function checkFixes(doc) {
  if (doc.fixes === undefined) {
    return;
  }
  if (!isObject(doc.fixes)) {
    refuse(doc, 'fixes must be an object');
  }
  Object.keys(doc.fixes).forEach(function (tag) {
    var fix = doc.fixes[tag];
    if (!/^[0-9A-F]{8}$/.test(tag) || !isObject(fix) || !isObject(fix.value) || !/^[A-Z]{2}$/.test(fix.value.vr)) {
      refuse(doc, 'fixes: ' + tag + ' has no value with a vr');
    }
    if (typeof fix.at !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(fix.at)) {
      refuse(doc, 'fixes: ' + tag + ' does not say when, in UTC');
    }
  });
}

// What waits to be sent to another archive. Its id has no colon, so it is below no study.
function checkForward(doc) {
  if (!/^forward-[0-9a-f]+$/.test(doc._id)) {
    refuse(doc, 'the id of what is forwarded begins with "forward-"');
  }
  if (typeof doc.instance !== 'string' || doc.instance.split(':').length !== 3 || typeof doc.to !== 'string') {
    refuse(doc, 'forward needs instance and to');
  }
  if (['waiting', 'failed'].indexOf(doc.state) < 0) {
    refuse(doc, 'state must be "waiting" or "failed"');
  }
}

// That a database exchanges documents with others; its ids have no colon either.
function checkReplication(doc) {
  if (doc._id !== 'replication' && doc._id !== 'replication-partial') {
    refuse(doc, 'the id of a replication is "replication" or "replication-partial"');
  }
}

exports.check = function (doc) {
  if (doc.type === 'forward') {
    checkForward(doc);
    return;
  }
  if (doc.type === 'replication') {
    checkReplication(doc);
    return;
  }
  var parts = doc._id.split(':');
  if (!PARTS[doc.type]) {
    refuse(doc, 'type must be "study", "series" or "instance"');
  }
  if (parts.length !== PARTS[doc.type] || parts.indexOf('') >= 0) {
    refuse(doc, 'the id does not name a ' + doc.type);
  }
  if ((doc.type === 'study') !== (parts.length === 2 && parts[1] === 'study')) {
    refuse(doc, 'only a study\'s id ends in ":study"');
  }
  checkDataset(doc);
  checkFixes(doc);
  if (doc.type === 'study') {
    checkUid(doc, '0020000D', parts[0]);
    if (!isObject(doc.series)) {
      refuse(doc, 'series must say which series the study has');
    }
  } else if (doc.type === 'series') {
    checkUid(doc, '0020000E', parts[1]);
  } else {
    checkUid(doc, '0020000D', parts[0]);
    checkUid(doc, '0020000E', parts[1]);
    checkUid(doc, '00080018', parts[2]);
    checkFile(doc);
  }
};
