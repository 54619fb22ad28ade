// A person's fix of an attribute: from then on it is the current value of the study or series, until it is undone.
var levels = require('tables/levels');
var dictionary = require('tables/dictionary');
var compare = require('lib/headers/compare');
var headers = require('lib/headers/merge');
var summary = require('lib/headers/summary');
var typed = require('lib/fixes/typed');

// These name the documents: with another value it is another study or series.
var NEVER = ['0020000D', '0020000E'];
var MOST_HISTORY = 500;
var GROUPS = ['Alphabetic', 'Ideographic', 'Phonetic'];

function problem(status, reason) {
  return { refused: { status: status, reason: reason } };
}

function label(tag) {
  return dictionary[tag][0] + ' (' + tag.slice(0, 4) + ',' + tag.slice(4) + ')';
}

// Values that instances or people brought before: they may be chosen even when they break their VR.
function isKnown(header, tag, attribute) {
  var fix = header.fixes && header.fixes[tag];
  var known = [header.dataset[tag], fix && fix.original].concat((header.variants[tag] || []).map(function (entry) {
    return entry.value;
  }));
  return known.some(function (candidate) {
    return candidate && compare.same(candidate, attribute);
  });
}

// Whether something can be in the Value of an attribute. Anything else would be read as no value.
function isValue(vr, value) {
  if (value === null || typeof value === 'string' || typeof value === 'number') {
    return true;
  }
  return vr === 'PN' && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).every(function (group) {
    return GROUPS.indexOf(group) >= 0 && typeof value[group] === 'string';
  });
}

// The attribute that `value` means: text as typed, a list of values, or an attribute of the DICOM JSON Model.
function read(header, tag, value) {
  var vr = dictionary[tag][1];
  var text = value;
  if (value === null || (Array.isArray(value) && !value.length)) {
    return { vr: vr };
  }
  if (typeof value === 'number') {
    text = String(value);
  } else if (typeof value === 'object') {
    var attribute = Array.isArray(value) ? { vr: vr, Value: value } : value;
    if (typeof attribute.vr !== 'string' || compare.isBulk(attribute)) {
      throw problem(400, 'the value is no attribute of the DICOM JSON Model with a Value');
    }
    if (isKnown(header, tag, attribute)) {
      return attribute;
    }
    if (attribute.InlineBinary !== undefined || attribute.Value !== undefined && !Array.isArray(attribute.Value)) {
      throw problem(400, label(tag) + ': the value must be a list, the Value of an attribute');
    }
    if (compare.isEmpty(attribute)) {
      return { vr: vr };
    }
    if (attribute.vr !== vr) {
      throw problem(400, label(tag) + ' has the VR ' + vr + ', not ' + attribute.vr.slice(0, 20));
    }
    if (!typed.can(vr)) {
      throw problem(400, label(tag) + ': the value cannot be typed: ' + vr + ' is not text');
    }
    attribute.Value.forEach(function (one) {
      if (!isValue(vr, one)) {
        throw problem(400, label(tag) + ': ' + JSON.stringify(one).slice(0, 80) + ' is no value of the VR ' + vr);
      }
    });
    text = typed.text(attribute);
  }
  if (typeof text !== 'string') {
    throw problem(400, 'the value is a text, a number, a list of values or an attribute of the DICOM JSON Model');
  }
  var result = typed.read(vr, dictionary[tag][2], text);
  if (result.problem) {
    throw problem(400, label(tag) + ': the value ' + result.problem);
  }
  return result.attribute;
}

function check(doc, input) {
  if (!doc || (doc.type !== 'study' && doc.type !== 'series')) {
    throw problem(404, 'there is no such study or series');
  }
  var known = [levels[doc.type], doc.type === 'study' ? levels.beside : {}, doc.fixes || {}].some(function (some) {
    return Object.prototype.hasOwnProperty.call(some, input.tag);
  });
  if (typeof input.tag !== 'string' || !known || !dictionary[input.tag]) {
    throw problem(400, 'tag: ' + String(input.tag).slice(0, 40) + ' is no attribute of a ' + doc.type);
  }
  if (NEVER.indexOf(input.tag) >= 0) {
    throw problem(400, label(input.tag) + ' names the ' + doc.type + ' and cannot be corrected');
  }
  if (!input.by || typeof input.by !== 'string' || input.by.length > 100) {
    throw problem(400, 'by: who corrects this? A name of up to 100 characters');
  }
}

// Whether the study is of another patient than a fix for all studies of one patient.
function isOther(doc, patient) {
  return summary.text(doc.dataset, '00100020') !== patient.id || summary.text(doc.dataset, '00100021') !== patient.issuer;
}

function note(header, input, action, before, after, at) {
  header.history = (header.history || []).concat([{
    at: at, by: input.by, user: input.user || null, tag: input.tag, action: action, from: before || null, to: after || null,
    id: input.id
  }]).slice(-MOST_HISTORY);
}

// input: { tag, value | undo, by, user, id, seen, patient, only }; at: the time. Returns the new header, null for no change.
function apply(doc, input, at) {
  check(doc, input);
  var header = JSON.parse(JSON.stringify(doc));
  var tag = input.tag;
  header.variants = header.variants || {};
  header.fixes = header.fixes || {};
  var fix = header.fixes[tag];
  var before = header.dataset[tag];
  if (input.patient && isOther(doc, input.patient) || input.only && (!fix || fix.id !== input.only)) {
    return null;
  }
  if (typeof input.seen === 'string' && input.seen !== (fix ? fix.id : '')) {
    throw problem(409, label(tag) + ' was corrected by ' + (fix ? fix.by : 'somebody') + ' meanwhile');
  }
  if (input.undo && !fix) {
    throw problem(409, label(tag) + ' is not corrected: there is nothing to undo');
  }
  var attribute = input.undo ? null : read(header, tag, input.value);
  if (fix && attribute && compare.same(fix.value, attribute)) {
    return null;
  }
  headers.lift(header);
  if (input.undo) {
    delete header.fixes[tag];
  } else {
    header.fixes[tag] = { value: attribute, original: null, by: input.by, user: input.user || null, at: at, id: input.id };
  }
  headers.lay(header);
  note(header, input, input.undo ? 'undo' : 'set', before, header.dataset[tag], at);
  if (!Object.keys(header.fixes).length) {
    delete header.fixes;
  }
  return summary.lead(header);
}

exports.apply = function (doc, input, at) {
  try {
    return { header: apply(doc, input, at) };
  } catch (thrown) {
    if (thrown && thrown.refused) {
      return thrown;
    }
    throw thrown;
  }
};

exports.label = label;
exports.NEVER = NEVER;
