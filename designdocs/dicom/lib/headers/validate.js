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

// What waits to be sent to another archive, or to be reported to one. Its id has no colon, so it is below no study.
var QUEUED = { forward: ['instance', 'to'], commitment: ['calling', 'transaction'] };

function checkQueued(doc) {
  if (!/^(forward|commitment)-[0-9a-f]+$/.test(doc._id) || doc._id.indexOf(doc.type + '-') !== 0) {
    refuse(doc, 'the id of what is queued begins with "' + doc.type + '-"');
  }
  QUEUED[doc.type].forEach(function (name) {
    if (typeof doc[name] !== 'string') {
      refuse(doc, doc.type + ' needs ' + name);
    }
  });
  if (doc.type === 'forward' ? doc.instance.split(':').length !== 3 : !Array.isArray(doc.instances)) {
    refuse(doc, doc.type + ' must say of which instances');
  }
  if (['waiting', 'sending', 'failed'].indexOf(doc.state) < 0) {
    refuse(doc, 'state must be "waiting", "sending" or "failed"');
  }
  if (typeof doc.due !== 'string' || doc.state === 'sending' && (typeof doc.by !== 'string' || typeof doc.until !== 'string')) {
    refuse(doc, 'what is queued says when it is due, and what is being sent by whom and until when');
  }
}

// A page of the log of changes; its id has no colon either. What is there already stays as it is: see shim/couch/changelog.py.
function checkChanges(doc) {
  if (!/^changes-[0-9a-f]+-[0-9]{10}$/.test(doc._id) || doc._id.split('-')[1] !== doc.log) {
    refuse(doc, 'the id of a page of changes is "changes-", its log and its number');
  }
  if (typeof doc.first !== 'number' || !Array.isArray(doc.entries) || !Array.isArray(doc.corrections)) {
    refuse(doc, 'changes need first, entries and corrections');
  }
  doc.entries.forEach(function (entry) {
    if (!isObject(entry) || typeof entry.instance !== 'string' || entry.instance.split(':').length !== 3 ||
        ['create', 'update', 'delete'].indexOf(entry.action) < 0 || typeof entry.at !== 'string') {
      refuse(doc, 'entries: one has no instance, action or time');
    }
  });
}

// Neither of the two is below a study.
function checkWorkitem(doc, oldDoc) {
  checkDataset(doc);
  checkUid(doc, '00080018', doc._id.replace(/^workitem-/, ''));
  if (!/^workitem-[^:]+$/.test(doc._id)) {
    refuse(doc, 'the id of a workitem begins with "workitem-"');
  }
  require('lib/workitem/validate').check(doc, oldDoc);
}

function checkSubscriber(doc) {
  if (typeof doc.aeTitle !== 'string' || doc._id !== 'subscriber-' + doc.aeTitle) {
    refuse(doc, 'the id of a subscriber is "subscriber-" and its aeTitle');
  }
  ['global', 'filtered'].forEach(function (kind) {
    if (doc[kind] !== undefined && (!isObject(doc[kind]) || typeof doc[kind].lock !== 'boolean')) {
      refuse(doc, kind + ' must say whether there is a deletion lock');
    }
  });
}

// That a database exchanges documents with others; its ids have no colon either.
function checkReplication(doc) {
  if (doc._id !== 'replication' && doc._id !== 'replication-partial') {
    refuse(doc, 'the id of a replication is "replication" or "replication-partial"');
  }
}

var OTHERS = { changes: checkChanges, workitem: checkWorkitem, subscriber: checkSubscriber, replication: checkReplication };

function has(table, name) {
  return Object.prototype.hasOwnProperty.call(table, name);
}

exports.check = function (doc, oldDoc) {
  if (has(QUEUED, doc.type)) {
    checkQueued(doc);
    return;
  }
  if (has(OTHERS, doc.type)) {
    OTHERS[doc.type](doc, oldDoc);
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
