// The values of each attribute in the instances of one study, with the series and instances that have them.
var levels = require('tables/levels');
var dictionary = require('tables/dictionary');
var compare = require('lib/headers/compare');
var fixes = require('lib/fixes/fixes');
var merge = require('lib/headers/merge');
var summary = require('lib/headers/summary');
var typed = require('lib/fixes/typed');

// What the Patient module has (PS3.3 C.7.1.1) belongs to all studies of the patient.
function isOfPatient(tag) {
  return tag.slice(0, 4) === '0010' && !!levels.study[tag];
}

// What people may fix in a header: what it decides about, what it shows beside, and what they have fixed already.
function fixable(header) {
  return Object.keys(levels[header.type]).concat(header.type === 'study' ? Object.keys(levels.beside) : [],
    Object.keys(header.fixes || {})).filter(function (tag, index, all) {
    return dictionary[tag] && all.indexOf(tag) === index;
  });
}

// Values of one attribute under one header: { text of the attribute: { value, series: {uid: 1}, instances } }.
function Tally() {
  this.values = {};
  this.instances = 0;
  this.series = {};
}

Tally.prototype.add = function (dataset, tag, series) {
  // The text as it is makes a cheap key for many instances; those that mean the same are put together at the end.
  var key = '=' + (dataset[tag] ? JSON.stringify(dataset[tag]) : '');
  var entry = this.values[key] || (this.values[key] = { value: dataset[tag] || null, series: {}, instances: 0 });
  entry.series[series] = 1;
  entry.instances += 1;
};

Tally.prototype.merged = function () {
  var found = {};
  var values = this.values;
  Object.keys(values).forEach(function (text) {
    var key = '=' + compare.key(values[text].value);
    var entry = found[key] || (found[key] = { value: key === '=' ? null : values[text].value, series: {}, instances: 0 });
    entry.instances += values[text].instances;
    Object.keys(values[text].series).forEach(function (uid) {
      entry.series[uid] = 1;
    });
  });
  return Object.keys(found).map(function (key) {
    var entry = found[key];
    return {
      value: entry.value, text: typed.text(entry.value), series: Object.keys(entry.series).length, instances: entry.instances
    };
  });
};

function byInstances(a, b) {
  return b.instances - a.instances || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0);
}

function attribute(header, tag, tally) {
  var fix = header.fixes && header.fixes[tag];
  var current = header.dataset[tag] || null;
  var values = tally.merged().sort(byInstances);
  var isThere = values.some(function (entry) {
    return compare.same(entry.value, current);
  });
  if (!isThere) {
    values.unshift({ value: current, text: typed.text(current), series: 0, instances: 0 });
  }
  values.forEach(function (entry) {
    entry.current = compare.same(entry.value, current);
  });
  return {
    tag: tag, name: dictionary[tag][0], vr: dictionary[tag][1], vm: dictionary[tag][2],
    level: header.type, series: header.type === 'series' ? header._id.split(':')[1] : null,
    patient: header.type === 'study' && isOfPatient(tag), current: current, fix: fix || null, values: values
  };
}

function history(header) {
  return (header.history || []).map(function (event) {
    var told = {};
    Object.keys(event).forEach(function (name) {
      told[name] = event[name];
    });
    told.series = header.type === 'series' ? header._id.split(':')[1] : null;
    told.name = dictionary[event.tag] ? dictionary[event.tag][0] : event.tag;
    return told;
  });
}

// add() every document of a study, then report().
exports.collector = function () {
  var headers = {};
  var tallies = {};
  var differing = [];

  function count(id, tags, doc, series) {
    var own = tallies[id] || (tallies[id] = {});
    tags.forEach(function (tag) {
      (own[tag] || (own[tag] = new Tally())).add(doc.dataset, tag, series);
    });
  }

  return {
    add: function (doc) {
      var uids = doc._id.split(':');
      if (doc.type === 'study' || doc.type === 'series') {
        headers[doc._id] = doc;
      } else if (doc.type === 'instance') {
        if (doc._conflicts) {
          differing.push({ instance: doc._id, stored: doc.stored, current: doc._rev, others: doc._conflicts });
        }
        count(uids[0] + ':study', Object.keys(levels.study).concat(Object.keys(levels.beside)), doc, uids[1]);
        count(uids[0] + ':' + uids[1], Object.keys(levels.series), doc, uids[1]);
      }
    },
    // null when there is no such study; attributes of the study first, then those of its series.
    report: function () {
      var ids = Object.keys(headers).sort(function (a, b) {
        return headers[a].type < headers[b].type ? 1 : headers[a].type > headers[b].type ? -1 : a < b ? -1 : 1;
      });
      if (!ids.length || headers[ids[0]].type !== 'study') {
        return null;
      }
      var study = headers[ids[0]];
      var report = {
        study: study._id.split(':')[0], summary: study.summary, attributes: [], others: [], history: [], series: {},
        instances: differing
      };
      ids.forEach(function (id) {
        var header = headers[id];
        var told = merge.open(header).concat(Object.keys(header.fixes || {}));
        fixable(header).forEach(function (tag) {
          if (told.indexOf(tag) >= 0) {
            report.attributes.push(attribute(header, tag, tallies[id] && tallies[id][tag] || new Tally()));
          } else if (header.type === 'study' && typed.can(dictionary[tag][1]) && fixes.NEVER.indexOf(tag) < 0) {
            report.others.push({
              tag: tag, name: dictionary[tag][0], vr: dictionary[tag][1], text: typed.text(header.dataset[tag]),
              patient: isOfPatient(tag)
            });
          }
        });
        if (header.type === 'series') {
          report.series[id.split(':')[1]] = header.summary;
        }
        report.history = report.history.concat(history(header));
      });
      report.history.sort(function (a, b) {
        return a.at < b.at ? 1 : a.at > b.at ? -1 : 0;
      });
      return report;
    }
  };
};

// One page of the studies that disagree: rows of conflicts_by_date with the study's header, put together by study.
exports.page = function (rows) {
  var studies = [];
  var known = {};
  rows.forEach(function (row) {
    var uid = row.key[3];
    var study = known[uid];
    if (!study) {
      study = known[uid] = {
        study: uid, summary: row.doc && row.doc.summary ? String(row.doc.summary) : '', date: row.doc && row.doc.dataset ?
          summary.text(row.doc.dataset, '00080020') : row.key[1], state: row.key[0], attributes: []
      };
      studies.push(study);
    }
    (row.value.attributes || []).forEach(function (tag) {
      study.attributes.push({
        tag: tag, name: dictionary[tag] ? dictionary[tag][0] : tag, series: row.key[4] || null
      });
    });
  });
  return studies;
};

exports.isOfPatient = isOfPatient;
