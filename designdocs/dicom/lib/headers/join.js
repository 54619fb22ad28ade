// One header of what several servers made of it: the same on each of them, whatever came first.
var compare = require('lib/headers/compare');
var headers = require('lib/headers/merge');
var summary = require('lib/headers/summary');

var MOST_HISTORY = 500;

function copy(value) {
  return JSON.parse(JSON.stringify(value));
}

// The series of a header that have its current value, as far as it tells: those that are not known for another.
function holders(header, tag) {
  var uid = header._id.split(':')[1];
  var others = (header.variants[tag] || []).map(function (entry) {
    return entry.series;
  });
  return header.type === 'series' ? [uid] : Object.keys(header.series).filter(function (series) {
    return !others.some(function (listed) {
      return listed.indexOf(series) >= 0;
    });
  });
}

function mergeInto(joined, other) {
  Object.keys(other.dataset).forEach(function (tag) {
    var series = holders(other, tag);
    (series.length ? series : ['']).forEach(function (one) {
      headers.mergeAttribute(joined.dataset, joined.variants, tag, other.dataset[tag], one);
    });
  });
  Object.keys(other.variants).forEach(function (tag) {
    other.variants[tag].forEach(function (entry) {
      entry.series.forEach(function (series) {
        headers.mergeAttribute(joined.dataset, joined.variants, tag, entry.value, series);
      });
    });
  });
  Object.keys(other.series || {}).forEach(function (uid) {
    joined.series[uid] = joined.series[uid] || other.series[uid];
  });
}

function byTime(a, b) {
  var first = a.at + compare.canonical(a);
  var second = b.at + compare.canonical(b);
  return first < second ? -1 : first > second ? 1 : 0;
}

// All decisions of all of them, each once, by time and then by content.
function histories(leaves) {
  var found = {};
  leaves.forEach(function (leaf) {
    (leaf.history || []).forEach(function (entry) {
      found[compare.canonical(entry)] = entry;
    });
  });
  return Object.keys(found).map(function (key) {
    return found[key];
  }).sort(byTime).slice(-MOST_HISTORY);
}

// What holds of an attribute is what was decided last: an undone fix does not come back from who had not heard of that.
function fixesOf(leaves, history) {
  var last = {};
  var fixes = {};
  history.forEach(function (entry) {
    last[entry.tag] = entry;
  });
  leaves.forEach(function (leaf) {
    Object.keys(leaf.fixes || {}).forEach(function (tag) {
      var fix = leaf.fixes[tag];
      var decided = last[tag];
      if (decided && (decided.action === 'undo' || decided.id !== fix.id)) {
        return;
      }
      if (!fixes[tag] || byTime(fixes[tag], fix) < 0) {
        fixes[tag] = fix;
      }
    });
  });
  return fixes;
}

// leaves: revisions of one header, that which the database takes first. Returns one header, without a revision.
exports.join = function (leaves) {
  var lifted = leaves.map(function (leaf) {
    var header = copy(leaf);
    header.variants = header.variants || {};
    headers.lift(header);
    return header;
  });
  var joined = copy(lifted[0]);
  var history = histories(leaves);
  var fixes = fixesOf(copy(leaves), history);
  lifted.slice(1).forEach(function (other) {
    mergeInto(joined, other);
  });
  ['_rev', '_conflicts', 'fixes', 'history'].forEach(function (name) {
    delete joined[name];
  });
  if (Object.keys(fixes).length) {
    joined.fixes = fixes;
  }
  if (history.length) {
    joined.history = history;
  }
  headers.lay(joined);
  return summary.lead(joined);
};

function sorted(texts) {
  return texts.slice().sort();
}

// The same text for headers that say the same, in whatever order.
exports.meaning = function (header) {
  var variants = {};
  Object.keys(header.variants || {}).forEach(function (tag) {
    variants[tag] = sorted(header.variants[tag].map(function (entry) {
      return compare.key(entry.value) + sorted(entry.series).join(' ');
    }));
  });
  var said = { variants: variants };
  Object.keys(header).forEach(function (name) {
    if (['_rev', '_conflicts', '_revisions', 'variants'].indexOf(name) < 0) {
      said[name] = header[name];
    }
  });
  return compare.canonical(said);
};
