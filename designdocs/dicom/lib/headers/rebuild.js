// Making the headers of a study anew from its instances: after deletions and replacements, or when in doubt.
var levels = require('tables/levels');
var compare = require('lib/headers/compare');
var headers = require('lib/headers/merge');
var join = require('lib/headers/join');
var summary = require('lib/headers/summary');

var MODALITY = '00080060';

function pick(dataset, tags) {
  var picked = {};
  tags.forEach(function (tag) {
    if (dataset[tag]) {
      picked[tag] = dataset[tag];
    }
  });
  return picked;
}

// A header from all its instances. The values of `stored` stay the current ones while any instance has them, and what a
// person fixed stays fixed.
function rebuild(type, id, stored, updates) {
  var before = stored ? JSON.parse(JSON.stringify(stored)) : { dataset: {} };
  headers.lift(before);
  var first = {};
  Object.keys(before.dataset).forEach(function (tag) {
    var kept = updates.some(function (update) {
      return update.attributes[tag] && compare.same(update.attributes[tag], before.dataset[tag]);
    });
    if (kept) {
      first[tag] = before.dataset[tag];
    }
  });
  var header = { _id: id, type: type, summary: '', dataset: first, variants: {} };
  if (stored) {
    header._rev = stored._rev;
  }
  updates.forEach(function (update) {
    header = headers.merge(type, id, header, update);
  });
  ['fixes', 'history'].forEach(function (name) {
    if (before[name]) {
      header[name] = before[name];
    }
  });
  headers.lay(header);
  return summary.lead(header);
}

// Whether `leaves` are all revisions of a header that are in conflict.
function isWhole(header, leaves) {
  var revisions = (leaves || [header]).map(function (leaf) {
    return leaf._rev;
  });
  return [header._rev].concat(header._conflicts || []).sort().join() === revisions.sort().join();
}

// add() every document of a study, then changes() gives the headers that must be written or deleted for them to agree,
// reconciled() those that must be written after documents came from another server.
exports.rebuilder = function () {
  var stored = {};
  var updates = {};
  var inConflict = [];

  function add(id, update) {
    var key = compare.canonical(update);
    updates[id] = updates[id] || {};
    updates[id][key] = update;
  }

  // ModalitiesInStudy follows a fix of a series' Modality.
  function fixModalities(study, headersThere) {
    Object.keys(study.series).forEach(function (uid) {
      var series = headersThere[study._id.split(':')[0] + ':' + uid];
      if (series && series.fixes && series.fixes[MODALITY]) {
        study.series[uid] = summary.text(series.dataset, MODALITY);
      }
    });
    return summary.lead(study);
  }

  function updatesOf(id) {
    return Object.keys(updates[id] || {}).map(function (key) {
      return updates[id][key];
    });
  }

  // A header of all its revisions and instances. Where a server has a part of the instances only (`partial`), what none
  // of these say may be said by others, and stays.
  function reconcile(id, leaves, partial) {
    var type = /:study$/.test(id) ? 'study' : 'series';
    var joined = leaves ? join.join(leaves) : undefined;
    var all = updatesOf(id);
    if (!partial && all.length) {
      joined = rebuild(type, id, joined, all);
    } else {
      all.forEach(function (update) {
        joined = headers.merge(type, id, joined, update);
      });
    }
    return joined;
  }

  return {
    add: function (doc) {
      var uids = doc._id.split(':');
      if (doc.type === 'study' || doc.type === 'series') {
        stored[doc._id] = doc;
      } else if (doc.type === 'instance') {
        if (doc._conflicts) {
          inConflict.push(doc._id);
        }
        var modality = summary.text(doc.dataset, MODALITY);
        ['study', 'series'].forEach(function (type) {
          add(type === 'study' ? uids[0] + ':study' : uids[0] + ':' + uids[1], {
            series: uids[1],
            modality: modality,
            attributes: pick(doc.dataset, Object.keys(levels[type]).concat(Object.keys(levels.beside)))
          });
        });
      }
    },
    // given: { leaves: { id: [revisions] }, partial }. `asked` are headers whose revisions have to be given.
    reconciled: function (given) {
      var docs = [];
      var asked = Object.keys(stored).filter(function (id) {
        return !isWhole(stored[id], given.leaves[id]);
      });
      if (asked.length) {
        return { asked: asked, docs: docs, instances: inConflict };
      }
      var joined = {};
      Object.keys(stored).concat(Object.keys(updates)).sort().forEach(function (id) {
        joined[id] = joined[id] || reconcile(id, given.leaves[id] || (stored[id] && [stored[id]]), given.partial);
      });
      Object.keys(joined).forEach(function (id) {
        if (/:study$/.test(id)) {
          joined[id] = fixModalities(joined[id], joined);
        }
        var one = joined[id];
        var before = stored[id];
        if (!before || before._conflicts || join.meaning(before) !== join.meaning(one)) {
          docs.push({ header: one, leaves: before ? [before._rev].concat(before._conflicts || []) : [] });
        }
      });
      return { asked: [], docs: docs, instances: inConflict };
    },
    changes: function () {
      var docs = [];
      Object.keys(stored).forEach(function (id) {
        if (!updates[id]) {
          docs.push({ _id: id, _rev: stored[id]._rev, _deleted: true });
        }
      });
      Object.keys(updates).forEach(function (id) {
        var all = updatesOf(id);
        var type = /:study$/.test(id) ? 'study' : 'series';
        var header = rebuild(type, id, stored[id], all);
        if (type === 'study') {
          header = fixModalities(header, stored);
        }
        if (!stored[id] || compare.canonical(header) !== compare.canonical(stored[id])) {
          docs.push(header);
        }
      });
      return docs;
    }
  };
};
