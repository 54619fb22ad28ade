// The _update functions: transactions of PS3.18 11 on one workitem. The answer's `error` is the status of PS3.4 CC.2.
var match = require('lib/match/match');
var summary = require('lib/headers/summary');
var events = require('lib/workitem/events');
var lock = require('lib/workitem/lock');
var requirements = require('lib/workitem/requirements');
var validate = require('lib/workitem/validate');
var table = require('tables/states').events;
var statuses = require('tables/statuses');

var STATE = '00741000';
var PROGRESS = '00741002';
var MODIFIED = '00404010';
var TRANSACTION = '00081195';
var SOP_CLASS = '1.2.840.10008.5.1.4.34.6.1';
// DCM, Discontinued for unspecified reason: PS3.16 CID 9300.
var UNSPECIFIED = {
  '00080100': { vr: 'SH', Value: ['110513'] },
  '00080102': { vr: 'SH', Value: ['DCM'] },
  '00080104': { vr: 'LO', Value: ['Discontinued for unspecified reason'] }
};

function answer(code, body) {
  return { code: code, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

function refused(status, more, isSet) {
  var known = statuses[status];
  var code = isSet && known.set ? known.set : known.http;
  return [null, answer(code, { error: status, reason: more || known.text })];
}

function done(doc, status, warning) {
  var told = status === '0000' ? [] : [warning || statuses[status].text];
  return [doc, answer(doc && !doc._rev ? 201 : 200, { ok: true, warnings: told })];
}

function uidOf(req) {
  return req.id.replace(/^workitem-/, '');
}

function stamp(req) {
  return { id: req.uuid, at: new Date().toISOString() };
}

// PS3.5 6.2, DT, in UTC.
function moment(at) {
  return at.replace(/[-:T]/g, '').replace('Z', '000+0000');
}

function set(dataset, tag, vr, value) {
  dataset[tag] = { vr: vr, Value: [value] };
}

// The line by which a person recognises a workitem, behind its type as in headers.
function lead(doc) {
  doc.summary = [STATE, '00741204', '00100010', '00100020', '00404005'].map(function (tag) {
    return summary.text(doc.dataset, tag);
  }).filter(Boolean).join(' \u00b7 ');
  return doc;
}

function modify(doc, at) {
  set(doc.dataset, MODIFIED, 'DT', moment(at));
  return lead(doc);
}

function subscribers(doc) {
  return Object.keys(doc.subscribers).sort();
}

function current(doc) {
  return doc ? validate.stateOf(doc) : 'null';
}

// Whether the request's Transaction UID is the right one: the events of tables/states are named so.
function knowing(doc, uid, transaction) {
  return lock.fits(doc && doc.lock, uid, transaction) ? 'correct' : 'not correct';
}

function wrongTransaction(transaction) {
  return refused('C301', transaction ? '' : 'The Transaction UID is missing.');
}

// A workitem goes on, with its state, when, and the lock of whoever works on it.
function enter(doc, state, at) {
  doc.history = doc.history.concat([{ state: state, at: at }]);
  set(doc.dataset, STATE, 'CS', state);
}

function merged(dataset, changes) {
  var result = {};
  Object.keys(dataset).concat(Object.keys(changes)).sort().forEach(function (tag) {
    result[tag] = changes[tag] || dataset[tag];
  });
  return result;
}

function input(req) {
  return JSON.parse(req.body);
}

exports.create = function (doc, req) {
  var asked = input(req);
  var uid = uidOf(req);
  var now = stamp(req);
  if (doc) {
    return refused(table.create[current(doc)]);
  }
  var given = asked.dataset;
  if (given[STATE] && requirements.hasValue(given[STATE]) && given[STATE].Value[0] !== 'SCHEDULED') {
    return refused('C309');
  }
  var dataset = merged({ '00080016': { vr: 'UI', Value: [SOP_CLASS] }, '00080018': { vr: 'UI', Value: [uid] } }, given);
  set(dataset, '00080005', 'CS', 'ISO_IR 192');
  var problems = requirements.ofCreation(dataset);
  ['00080016', '00080018'].forEach(function (tag, i) {
    if (requirements.hasValue(dataset[tag]) && dataset[tag].Value[0] !== [SOP_CLASS, uid][i]) {
      problems.push((i ? 'SOPInstanceUID (0008,0018)' : 'SOPClassUID (0008,0016)') + ' must be ' + [SOP_CLASS, uid][i]);
    }
  });
  if (problems.length) {
    return refused('0106', problems.join('; '));
  }
  delete dataset[TRANSACTION];
  var filled = requirements.fill(dataset);
  var made = { _id: req.id, type: 'workitem', summary: '', dataset: merged(dataset, {}), history: [], subscribers: {} };
  enter(made, 'SCHEDULED', now.at);
  asked.subscribers.forEach(function (one) {
    if (!one.filter || match.compile(one.filter)(made.dataset)) {
      made.subscribers[one.ae] = { lock: one.lock || (made.subscribers[one.ae] || {}).lock === true };
    }
  });
  events.add(made, [events.stateReport(made.dataset)].concat(events.assigned(made.dataset)), subscribers(made), now);
  made = modify(made, now.at);
  return filled.length ? done(made, 'B300', statuses.B300.text + ' ' + filled.join(', ')) : done(made, '0000');
};

function changes(doc, given) {
  var told = [];
  function isNew(tag) {
    return given[tag] && !validate.same(given[tag], doc.dataset[tag]);
  }
  var after = merged(doc.dataset, given);
  if (isNew('00404041')) {
    told.push(events.stateReport(after));
  }
  if (isNew(PROGRESS)) {
    told.push(events.progressReport(after));
  }
  return isNew('00404025') || isNew('00404034') ? told.concat(events.assigned(after)) : told;
}

exports.set = function (doc, req) {
  var asked = input(req);
  var uid = uidOf(req);
  var now = stamp(req);
  var knows = asked.transaction ? knowing(doc, uid, asked.transaction) : 'none';
  var status = table['set, ' + knows][current(doc)];
  if (status === 'C301') {
    return wrongTransaction(asked.transaction);
  }
  if (status !== '0000') {
    return refused(status, '', true);
  }
  var given = merged(asked.dataset, {});
  // The server's own: when it was changed, and that it is UTF-8. The lock is in the request's `transaction`.
  [MODIFIED, '00080005', TRANSACTION].forEach(function (tag) {
    delete given[tag];
  });
  var problems = requirements.ofChange(given);
  if (problems.length) {
    return refused('0106', problems.join('; '));
  }
  events.add(doc, changes(doc, given), subscribers(doc), now);
  doc.dataset = merged(doc.dataset, given);
  if (doc.lock) {
    doc.lock = lock.next(doc.lock, uid, asked.transaction);
  }
  return done(modify(doc, now.at), '0000');
};

// The item that tells why a workitem was canceled; when is filled in by the server (Table CC.2.5-3).
function canceled(dataset, reason, at) {
  var sequence = dataset[PROGRESS];
  var item = merged(requirements.items(sequence)[0] || {}, reason);
  if (!requirements.hasValue(item['00404052'])) {
    set(item, '00404052', 'DT', moment(at));
  }
  return { vr: 'SQ', Value: [merged(item, {})].concat(requirements.items(sequence).slice(1)) };
}

exports.state = function (doc, req) {
  var asked = input(req);
  var uid = uidOf(req);
  var now = stamp(req);
  var name = asked.state === 'SCHEDULED' ? 'SCHEDULED' : asked.state + ', ' + knowing(doc, uid, asked.transaction);
  var event = table[name];
  if (!event) {
    return refused('0106', 'ProcedureStepState (0074,1000) must be IN PROGRESS, COMPLETED or CANCELED');
  }
  var next = event[current(doc)];
  if (next === 'C301') {
    return wrongTransaction(asked.transaction);
  }
  if (next !== asked.state) {
    return next.charAt(0) === 'B' ? done(null, next) : refused(next);
  }
  if (next === 'CANCELED') {
    doc.dataset = merged(doc.dataset, { '00741002': canceled(doc.dataset, {}, now.at) });
  }
  var missing = requirements.unmet(doc.dataset, next);
  if (missing.length) {
    return refused('C304', statuses.C304.text + ' It has no ' + missing.join(', '));
  }
  doc.lock = doc.lock ? lock.next(doc.lock, uid, asked.transaction) : lock.open(uid, asked.transaction);
  enter(doc, next, now.at);
  events.add(doc, [events.stateReport(doc.dataset)], subscribers(doc), now);
  return done(modify(doc, now.at), '0000');
};

exports.cancel = function (doc, req) {
  var asked = input(req);
  var now = stamp(req);
  var next = table['request cancel'][current(doc)];
  var reason = events.picked(asked.dataset, ['00741238', '0074100E']);
  if (next === '0000') {
    if (!subscribers(doc).length) {
      return refused('C312');
    }
    var info = events.picked(asked.dataset, ['0074100A', '0074100C', '00741238', '0074100E']);
    set(info, '00741236', 'AE', asked.requester);
    events.add(doc, [{ type: 2, info: info }], subscribers(doc), now);
    return done(doc, '0000');
  }
  if (next !== 'CANCELED') {
    return next.charAt(0) === 'B' ? done(null, next) : refused(next);
  }
  if (!requirements.hasValue(reason['0074100E'])) {
    reason['0074100E'] = { vr: 'SQ', Value: [UNSPECIFIED] };
  }
  // Nobody works on it: the lock is one that nobody knows.
  doc.lock = lock.open(uidOf(req), req.uuid);
  var passed = events.stateReport(doc.dataset, 'IN PROGRESS');
  enter(doc, 'IN PROGRESS', now.at);
  enter(doc, 'CANCELED', now.at);
  var contact = events.picked(asked.dataset, ['0074100A', '0074100C']);
  if (requirements.hasValue(contact['0074100A'])) {
    reason['00741008'] = { vr: 'SQ', Value: [contact] };
  }
  doc.dataset = merged(doc.dataset, { '00741002': canceled(doc.dataset, reason, now.at) });
  events.add(doc, [passed, events.stateReport(doc.dataset)], subscribers(doc), now);
  return done(modify(doc, now.at), '0000');
};

// One workitem with a further subscriber, who is told its state (CC.2.3.3).
exports.subscribed = function (doc, asked, now) {
  doc.subscribers[asked.ae] = { lock: asked.lock };
  if (asked.report) {
    events.add(doc, [events.stateReport(doc.dataset)], [asked.ae], now);
  }
  return doc;
};

exports.subscribe = function (doc, req) {
  if (!doc) {
    return refused('C307');
  }
  return done(exports.subscribed(doc, input(req), stamp(req)), '0000');
};

exports.unsubscribe = function (doc, req) {
  var ae = input(req).ae;
  if (!doc || !doc.subscribers[ae]) {
    return refused('C307', doc ? 'The target Subscription was not found.' : '');
  }
  delete doc.subscribers[ae];
  return done(doc, '0000');
};
