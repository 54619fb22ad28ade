// What subscribers are told (PS3.4 Table CC.2.4-1). A workitem carries its last events, so that they are written with what they
// tell of, or not at all, and reach every server of the database with its changes.
var requirements = require('lib/workitem/requirements');

// More than that between two looks at the changes of the database are not told.
var MOST = 32;
var STATE = '00741000';
var READINESS = '00404041';
var PROGRESS = '00741002';
var STATION = '00404025';
var PERFORMERS = '00404034';

function picked(from, tags) {
  var some = {};
  tags.forEach(function (tag) {
    if (from[tag]) {
      some[tag] = from[tag];
    }
  });
  return some;
}

exports.picked = picked;

// Event type 1; `state` where a workitem went through it on its way.
exports.stateReport = function (dataset, state) {
  var info = picked(dataset, [READINESS, STATE]);
  if (state) {
    info[STATE] = { vr: 'CS', Value: [state] };
  } else if (dataset[STATE].Value[0] === 'CANCELED') {
    var reason = picked(requirements.items(dataset[PROGRESS])[0] || {}, ['00741238', '0074100E']);
    Object.keys(reason).forEach(function (tag) {
      info[tag] = reason[tag];
    });
  }
  return { type: 1, info: info };
};

exports.progressReport = function (dataset) {
  return { type: 3, info: picked(dataset, [PROGRESS]) };
};

// Event type 5, one for each human performer, or one for the station.
exports.assigned = function (dataset) {
  var station = requirements.hasValue(dataset[STATION]) ? picked(dataset, [STATION]) : {};
  var performers = requirements.items(dataset[PERFORMERS]);
  if (!performers.length) {
    return station[STATION] ? [{ type: 5, info: station }] : [];
  }
  return performers.map(function (performer) {
    var info = picked(performer, ['00404009', '00404036']);
    if (station[STATION]) {
      info[STATION] = station[STATION];
    }
    return { type: 5, info: info };
  });
};

// Adds events for subscribers, by AE title; nothing where there is none.
exports.add = function (work, list, to, stamp) {
  if (!to.length) {
    return;
  }
  var known = work.events || [];
  work.events = known.concat(list.map(function (event, i) {
    return { id: stamp.id + '-' + i, at: stamp.at, to: to, type: event.type, info: event.info };
  })).slice(-MOST);
};
