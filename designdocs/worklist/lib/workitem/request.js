// The _update functions: transactions of PS3.18 11 on one workitem. The answer's `error` is the status of PS3.4 CC.2.
var match = require('lib/match/match');
var summary = require('lib/headers/summary');
var events = require('lib/workitem/events');
var lock = require('lib/workitem/lock');
var requirements = require('lib/workitem/requirements');
var validate = require('lib/workitem/validate');
var states = require('tables/states').states;
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

function done(work, status, warning) {
  var told = status === '0000' ? [] : [warning || statuses[status].text];
  return [work, answer(work && !work._rev ? 201 : 200, { ok: true, warnings: told })];
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
function lead(work) {
  work.summary = [STATE, '00741204', '00100010', '00100020', '00404005'].map(function (tag) {
    return summary.text(work.dataset, tag);
  }).filter(Boolean).join(' \u00b7 ');
  return work;
}

function modify(work, at) {
  set(work.dataset, MODIFIED, 'DT', moment(at));
  return lead(work);
}

function subscribers(work) {
  return Object.keys(work.subscribers).sort();
}

function current(work) {
  return work ? validate.stateOf(work) : 'null';
}

// Whether the request's Transaction UID is the right one: the events of tables/states are named so.
function knowing(work, uid, transaction) {
  return lock.fits(work && work.lock, uid, transaction) ? 'correct' : 'not correct';
}

function wrongTransaction(transaction) {
  return refused('C301', transaction ? '' : 'The Transaction UID is missing.');
}

// A workitem goes on, with its state, when, and the lock of whoever works on it.
function enter(work, state, at) {
  work.history = work.history.concat([{ state: state, at: at }]);
  set(work.dataset, STATE, 'CS', state);
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

exports.create = function (work, req) {
  var asked = input(req);
  var uid = uidOf(req);
  var now = stamp(req);
  if (work) {
    return refused(table.create[current(work)]);
  }
  var given = asked.dataset;
  if (given[STATE] && requirements.hasValue(given[STATE]) && requirements.first(given[STATE]) !== 'SCHEDULED') {
    return refused('C309');
  }
  var dataset = merged({ '00080016': { vr: 'UI', Value: [SOP_CLASS] }, '00080018': { vr: 'UI', Value: [uid] } }, given);
  set(dataset, '00080005', 'CS', 'ISO_IR 192');
  var problems = requirements.ofCreation(dataset);
  ['00080016', '00080018'].forEach(function (tag, i) {
    if (requirements.hasValue(dataset[tag]) && requirements.first(dataset[tag]) !== [SOP_CLASS, uid][i]) {
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

function changes(work, given) {
  var told = [];
  function isNew(tag) {
    return given[tag] && !validate.same(given[tag], work.dataset[tag]);
  }
  var after = merged(work.dataset, given);
  if (isNew('00404041')) {
    told.push(events.stateReport(after));
  }
  if (isNew(PROGRESS)) {
    told.push(events.progressReport(after));
  }
  return isNew('00404025') || isNew('00404034') ? told.concat(events.assigned(after)) : told;
}

exports.set = function (work, req) {
  var asked = input(req);
  var uid = uidOf(req);
  var now = stamp(req);
  var knows = asked.transaction ? knowing(work, uid, asked.transaction) : 'none';
  var status = table['set, ' + knows][current(work)];
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
  events.add(work, changes(work, given), subscribers(work), now);
  work.dataset = merged(work.dataset, given);
  if (work.lock) {
    work.lock = lock.next(work.lock, uid, asked.transaction);
  }
  return done(modify(work, now.at), '0000');
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

exports.state = function (work, req) {
  var asked = input(req);
  var uid = uidOf(req);
  var now = stamp(req);
  var name = asked.state === 'SCHEDULED' ? 'SCHEDULED' : asked.state + ', ' + knowing(work, uid, asked.transaction);
  var event = table[name];
  if (!event || states.indexOf(asked.state) < 0) {
    return refused('0106', 'ProcedureStepState (0074,1000) must be IN PROGRESS, COMPLETED or CANCELED');
  }
  var next = event[current(work)];
  if (next === 'C301') {
    return wrongTransaction(asked.transaction);
  }
  if (next !== asked.state) {
    return next.charAt(0) === 'B' ? done(null, next) : refused(next);
  }
  if (next === 'CANCELED') {
    work.dataset = merged(work.dataset, { '00741002': canceled(work.dataset, {}, now.at) });
  }
  var missing = requirements.unmet(work.dataset, next);
  if (missing.length) {
    return refused('C304', statuses.C304.text + ' It has no ' + missing.join(', '));
  }
  work.lock = work.lock ? lock.next(work.lock, uid, asked.transaction) : lock.open(uid, asked.transaction);
  enter(work, next, now.at);
  events.add(work, [events.stateReport(work.dataset)], subscribers(work), now);
  return done(modify(work, now.at), '0000');
};

exports.cancel = function (work, req) {
  var asked = input(req);
  var now = stamp(req);
  var next = table['request cancel'][current(work)];
  var reason = events.picked(asked.dataset, ['00741238', '0074100E']);
  if (next === '0000') {
    if (!subscribers(work).length) {
      return refused('C312');
    }
    var info = events.picked(asked.dataset, ['0074100A', '0074100C', '00741238', '0074100E']);
    set(info, '00741236', 'AE', asked.requester);
    events.add(work, [{ type: 2, info: info }], subscribers(work), now);
    return done(work, '0000');
  }
  if (next !== 'CANCELED') {
    return next.charAt(0) === 'B' ? done(null, next) : refused(next);
  }
  if (!requirements.hasValue(reason['0074100E'])) {
    reason['0074100E'] = { vr: 'SQ', Value: [UNSPECIFIED] };
  }
  // Nobody works on it: the lock is one that nobody knows.
  work.lock = lock.open(uidOf(req), req.uuid);
  var passed = events.stateReport(work.dataset, 'IN PROGRESS');
  enter(work, 'IN PROGRESS', now.at);
  enter(work, 'CANCELED', now.at);
  var contact = events.picked(asked.dataset, ['0074100A', '0074100C']);
  if (requirements.hasValue(contact['0074100A'])) {
    reason['00741008'] = { vr: 'SQ', Value: [contact] };
  }
  work.dataset = merged(work.dataset, { '00741002': canceled(work.dataset, reason, now.at) });
  events.add(work, [passed, events.stateReport(work.dataset)], subscribers(work), now);
  return done(modify(work, now.at), '0000');
};

// One workitem with a further subscriber, who is told its state (CC.2.3.3).
exports.subscribed = function (work, asked, now) {
  work.subscribers[asked.ae] = { lock: asked.lock };
  if (asked.report) {
    events.add(work, [events.stateReport(work.dataset)], [asked.ae], now);
  }
  return work;
};

exports.subscribe = function (work, req) {
  if (!work) {
    return refused('C307');
  }
  return done(exports.subscribed(work, input(req), stamp(req)), '0000');
};

exports.unsubscribe = function (work, req) {
  var ae = input(req).ae;
  if (!work || !work.subscribers[ae]) {
    return refused('C307', work ? 'The target Subscription was not found.' : '');
  }
  delete work.subscribers[ae];
  return done(work, '0000');
};
