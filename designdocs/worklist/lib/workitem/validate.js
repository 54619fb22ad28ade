// What may be written as a workitem, whoever writes it: the state machine of PS3.4 CC.1.1. A revision that replication brings is
// checked for what it says of itself, since what it was made of may be unknown here; where that is known, as an edit is.
var lock = require('lib/workitem/lock');
var requirements = require('lib/workitem/requirements');

var NEXT = { 'SCHEDULED': ['IN PROGRESS'], 'IN PROGRESS': ['COMPLETED', 'CANCELED'], 'COMPLETED': [], 'CANCELED': [] };

function refuse(doc, reason) {
  throw { forbidden: doc._id + ': ' + reason };
}

function same(a, b) {
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') {
    return a === b;
  }
  var names = Object.keys(a);
  return Array.isArray(a) === Array.isArray(b) && names.length === Object.keys(b).length && names.every(function (name) {
    return same(a[name], b[name]);
  });
}

exports.same = same;

function stateOf(doc) {
  var attribute = doc.dataset['00741000'];
  return attribute && attribute.Value ? attribute.Value[0] : undefined;
}

exports.stateOf = stateOf;

function isFinal(state) {
  return state === 'COMPLETED' || state === 'CANCELED';
}

exports.isFinal = isFinal;

function states(doc) {
  return doc.history.map(function (entry) {
    return entry.state;
  });
}

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function isStep(entry) {
  return isObject(entry) && NEXT[entry.state] !== undefined && typeof entry.at === 'string';
}

function isEvent(event) {
  return isObject(event) && typeof event.id === 'string' && typeof event.at === 'string' && Array.isArray(event.to) &&
    event.type >= 1 && event.type <= 5 && isObject(event.info);
}

function checkForm(doc) {
  if (!Array.isArray(doc.history) || !doc.history.length || !doc.history.every(isStep)) {
    refuse(doc, 'history must say when the workitem came into each state');
  }
  if (!isObject(doc.subscribers) || !Object.keys(doc.subscribers).every(function (ae) {
    return isObject(doc.subscribers[ae]) && typeof doc.subscribers[ae].lock === 'boolean';
  })) {
    refuse(doc, 'subscribers must say of each AE title whether it has a deletion lock');
  }
  if (doc.events !== undefined && (!Array.isArray(doc.events) || !doc.events.every(isEvent))) {
    refuse(doc, 'events must be a list of what subscribers are told');
  }
  if (doc.dataset['00081195']) {
    refuse(doc, 'the Transaction UID (0008,1195) is in no document');
  }
}

// What a revision says of itself.
function checkAlone(doc) {
  var passed = states(doc);
  passed.forEach(function (state, i) {
    if (i === 0 ? state !== 'SCHEDULED' : NEXT[passed[i - 1]].indexOf(state) < 0) {
      refuse(doc, 'no workitem becomes ' + state + (i ? ' that is ' + passed[i - 1] : ' before it is SCHEDULED'));
    }
  });
  if (stateOf(doc) !== passed[passed.length - 1]) {
    refuse(doc, 'Procedure Step State (0074,1000) must be ' + passed[passed.length - 1] + ', the last of history');
  }
  if (passed.length === 1 ? doc.lock !== undefined : !lock.isLock(doc.lock)) {
    refuse(doc, passed.length === 1 ? 'only a workitem that is IN PROGRESS has a lock' : 'a lock is missing (C301)');
  }
  var wrong = requirements.ofAny(doc.dataset);
  if (wrong.length) {
    refuse(doc, wrong.join('; '));
  }
  var missing = requirements.unmet(doc.dataset, stateOf(doc));
  if (missing.length) {
    refuse(doc, 'final state requirements (C304): ' + missing.join(', '));
  }
}

// What only who knows the Transaction UID may change.
function checkLock(doc, oldDoc, isEdit) {
  var isChanged = !same(doc.dataset, oldDoc.dataset) || doc.history.length !== oldDoc.history.length;
  if (!isChanged ? !same(doc.lock, oldDoc.lock) : !(lock.isLock(doc.lock) && doc.lock.count > oldDoc.lock.count)) {
    refuse(doc, 'a workitem that is IN PROGRESS changes with its lock, and only so (C301)');
  }
  // Of several changes at a time, those between are not known here.
  if (isChanged && (isEdit || doc.lock.count === oldDoc.lock.count + 1) && !lock.follows(oldDoc.lock, doc.lock)) {
    refuse(doc, 'the lock does not show that its writer knows the Transaction UID (C301)');
  }
}

function checkEdit(doc, oldDoc, isEdit) {
  var before = states(oldDoc);
  var steps = states(doc).slice(before.length);
  if (!same(doc.history.slice(0, before.length), oldDoc.history)) {
    refuse(doc, 'history goes on, it does not change');
  }
  // A request for cancellation takes a scheduled workitem through both states at once (CC.2.2.3).
  if (isEdit && steps.length > 1 && steps.join() !== 'IN PROGRESS,CANCELED') {
    refuse(doc, 'a workitem changes its state once at a time (C310)');
  }
  if (isFinal(stateOf(oldDoc)) && !(same(doc.dataset, oldDoc.dataset) && same(doc.lock, oldDoc.lock))) {
    refuse(doc, 'what is ' + stateOf(oldDoc) + ' changes no more (C300)');
  }
  if (isEdit && !oldDoc.lock && doc.lock && doc.lock.count !== 1) {
    refuse(doc, 'the count of a lock begins with 1 (C301)');
  }
  if (stateOf(oldDoc) === 'IN PROGRESS') {
    checkLock(doc, oldDoc, isEdit);
  }
}

function isAncestor(oldDoc, doc) {
  var number = Number(oldDoc._rev.split('-')[0]);
  var known = doc._revisions;
  return isObject(known) && known.ids[known.start - number] === oldDoc._rev.slice(oldDoc._rev.indexOf('-') + 1);
}

// PS3.4 CC.2.1.3: not before its final state, and not while anybody has a lock. A deletion that replicates was checked elsewhere.
exports.checkDeletion = function (doc, oldDoc) {
  if (!oldDoc || oldDoc.type !== 'workitem' || doc._rev !== oldDoc._rev) {
    return;
  }
  if (!isFinal(stateOf(oldDoc))) {
    refuse(doc, 'a workitem is deleted only when it is COMPLETED or CANCELED');
  }
  Object.keys(oldDoc.subscribers).forEach(function (ae) {
    if (oldDoc.subscribers[ae].lock) {
      refuse(doc, ae + ' has a deletion lock: it has to unsubscribe first');
    }
  });
};

exports.check = function (doc, oldDoc) {
  var before = oldDoc && !oldDoc._deleted && oldDoc.type === 'workitem' ? oldDoc : null;
  var isEdit = before ? doc._rev === before._rev : !doc._rev;
  checkForm(doc);
  checkAlone(doc);
  if (!before && isEdit && doc.history.length > 1) {
    refuse(doc, 'a workitem begins as SCHEDULED (C309)');
  }
  if (before && (isEdit || isAncestor(before, doc))) {
    checkEdit(doc, before, isEdit);
  }
};
