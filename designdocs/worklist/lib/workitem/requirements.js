// Which attributes a workitem has to have, may have and may not have: PS3.4 Table CC.2.5-3, which is tables/requirements.
var table = require('tables/requirements');

function isItem(item) {
  return item !== null && typeof item === 'object' && !Array.isArray(item);
}

function items(attribute) {
  return attribute && Array.isArray(attribute.Value) ? attribute.Value.filter(isItem) : [];
}

function isFilled(value) {
  if (isItem(value)) {
    return Object.keys(value).some(function (group) {
      return isFilled(value[group]);
    });
  }
  return value !== null && value !== undefined && String(value).replace(/^ +| +$/g, '') !== '';
}

// Whether an attribute has a value; a sequence has one when it has an item.
function hasValue(attribute) {
  if (!isItem(attribute)) {
    return false;
  }
  if (attribute.vr === 'SQ') {
    return items(attribute).length > 0;
  }
  return (Array.isArray(attribute.Value) && attribute.Value.some(isFilled)) || typeof attribute.InlineBinary === 'string' ||
    typeof attribute.BulkDataURI === 'string';
}

// The first value; undefined also where the value is one of binary data, InlineBinary or at a BulkDataURI.
function first(attribute) {
  return (attribute.Value || [])[0];
}

exports.items = items;
exports.hasValue = hasValue;
exports.first = first;

function named(row, tag, within) {
  return within + row.name + ' (' + tag.slice(0, 4) + ',' + tag.slice(4) + ')';
}

// What is wrong with one attribute of a request. type: of the SCU and of the SCP, '1/1', '3/2', …
function wrongWith(row, type, attribute, isWhole) {
  if (attribute === undefined) {
    return isWhole && /^1\//.test(type) ? 'is missing' : '';
  }
  if (/^(not allowed|-\/-)/.test(type)) {
    return 'is not allowed here';
  }
  if (/empty/.test(type) && hasValue(attribute)) {
    return 'must be empty';
  }
  if (!hasValue(attribute)) {
    return /^1\/|^3\/1/.test(type) ? 'has no value' : '';
  }
  if (row.values && row.values.indexOf(first(attribute)) < 0) {
    return 'must be one of ' + row.values.join(', ');
  }
  return '';
}

// isWhole: what is required has to be there, as in all items and in what creates a workitem.
function walk(rows, dataset, column, isWhole, within) {
  var problems = [];
  Object.keys(rows).forEach(function (tag) {
    var row = rows[tag];
    var problem = wrongWith(row, row[column], dataset[tag], isWhole);
    if (problem) {
      problems.push(named(row, tag, within) + ' ' + problem);
    } else if (row.items) {
      items(dataset[tag]).forEach(function (item) {
        problems = problems.concat(walk(row.items, item, column, true, within + row.name + '.'));
      });
    }
  });
  return problems;
}

// What keeps a data set from becoming a workitem (N-CREATE), or from changing one (N-SET).
exports.ofCreation = function (dataset) {
  return walk(table, dataset, 'create', true, '');
};

exports.ofChange = function (dataset) {
  return walk(table, dataset, 'set', false, '');
};

// What a workitem cannot be without, in whatever state it is.
exports.ofAny = function (dataset) {
  return Object.keys(table).map(function (tag) {
    var problem = /^1\/1/.test(table[tag].create) ? wrongWith(table[tag], '1/1', dataset[tag], true) : '';
    return problem && named(table[tag], tag, '') + ' ' + problem;
  }).filter(Boolean);
};

// Adds what may be empty but has to be there, and a Worklist Label, which the server chooses; returns the names.
exports.fill = function (dataset) {
  var filled = [];
  Object.keys(table).forEach(function (tag) {
    var row = table[tag];
    if (!/^2\//.test(row.create) || tag === '00081195') {
      return;
    }
    if (/^2\/1/.test(row.create) && !hasValue(dataset[tag])) {
      dataset[tag] = { vr: row.vr, Value: ['Worklist'] };
      filled.push(named(row, tag, ''));
    } else if (dataset[tag] === undefined) {
      dataset[tag] = { vr: row.vr };
      filled.push(named(row, tag, ''));
    }
  });
  return filled;
};

function isMet(row, attribute, state) {
  var needed = row.final === 'R' || (row.final.charAt(0) === 'P' && state === 'COMPLETED') ||
    (row.final === 'X' && state === 'CANCELED');
  return !needed || hasValue(attribute) || (/may be empty/.test(row.final) && attribute !== undefined);
}

function unmet(rows, dataset, state, within) {
  var problems = [];
  Object.keys(rows).forEach(function (tag) {
    var row = rows[tag];
    if (!isMet(row, dataset[tag], state)) {
      problems.push(named(row, tag, within));
    }
    if (row.items) {
      items(dataset[tag]).forEach(function (item) {
        problems = problems.concat(unmet(row.items, item, state, within + row.name + '.'));
      });
    }
  });
  return problems;
}

// The attributes without which a workitem cannot become COMPLETED or CANCELED (CC.2.5.1.1).
exports.unmet = function (dataset, state) {
  return state === 'COMPLETED' || state === 'CANCELED' ? unmet(table, dataset, state, '') : [];
};
