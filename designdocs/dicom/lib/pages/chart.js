// Studies by year or month and modality as stacked bars: a small SVG picture, and the same as a table.
var html = require('lib/pages/html');
var parts = require('lib/pages/parts');

var esc = html.escape;
// Colours of the style sheet; the last one is for all further modalities.
var MOST = 7;
var OTHERS = 'others';
var LONGEST = 40;
var WIDTH = 640;
var HEIGHT = 140;
var MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

// The time of a key as a number that counts years or months; null for what is no date of the last decades.
function place(key, year) {
  var at = /^\d{4}$/.test(key[0]) ? Number(key[0]) : 0;
  if (at > year || at <= year - LONGEST) {
    return null;
  }
  if (key.length < 3) {
    return at;
  }
  return /^(0[1-9]|1[0-2])$/.test(key[2]) ? at * 12 + Number(key[2]) - 1 : null;
}

function label(at, months) {
  return months ? MONTHS[at % 12] + ' ' + Math.floor(at / 12) : String(at);
}

// times: [[year, modality, perhaps month], studies]. Returns the modalities, those with most studies first, the bars in order,
// each { at, sum, by: studies of each modality }, and how many studies have no place among them.
exports.bars = function (times, year) {
  var totals = Object.create(null);
  var bars = Object.create(null);
  var outside = 0;
  var months = times.some(function (row) {
    return row[0].length > 2;
  });
  times.forEach(function (row) {
    var at = place(row[0], year);
    if (at === null) {
      outside += row[1];
    } else {
      totals[row[0][1]] = (totals[row[0][1]] || 0) + row[1];
    }
  });
  var names = Object.keys(totals).sort(function (a, b) {
    return totals[b] - totals[a] || (a < b ? -1 : 1);
  });
  var shown = names.length > MOST ? names.slice(0, MOST - 1).concat(OTHERS) : names;
  times.forEach(function (row) {
    var at = place(row[0], year);
    if (at === null) {
      return;
    }
    var bar = bars[at] || (bars[at] = { at: at, sum: 0, by: Object.create(null) });
    var name = shown.indexOf(row[0][1]) < 0 ? OTHERS : row[0][1];
    bar.by[name] = (bar.by[name] || 0) + row[1];
    bar.sum += row[1];
  });
  return {
    months: months, outside: outside, names: shown, bars: Object.keys(bars).map(Number).sort(function (a, b) {
      return a - b;
    }).map(function (at) {
      return bars[at];
    })
  };
};

function picture(found, first, last, most) {
  var step = WIDTH / (last - first + 1);
  var width = Math.max(1, Math.min(step - 1, 48));
  return found.bars.map(function (bar) {
    var top = HEIGHT;
    return found.names.map(function (name, index) {
      var height = (bar.by[name] || 0) / most * HEIGHT;
      top -= height;
      return height ? '<rect class="c' + index + '" x="' + ((bar.at - first) * step + (step - width) / 2).toFixed(1) + '" y="' + top.toFixed(1) +
        '" width="' + width.toFixed(1) + '" height="' + height.toFixed(1) + '"><title>' +
        esc(label(bar.at, found.months) + ', ' + (name || 'no modality') + ': ' + bar.by[name]) + '</title></rect>' : '';
    }).join('');
  }).join('');
}

function table(found) {
  var columns = [{ title: found.months ? 'Month' : 'Year', bare: true }].concat(found.names.map(function (name) {
    return { title: name || 'no modality', kind: 'number' };
  }));
  return '<details><summary>The picture as a table</summary>' + html.table('Studies; one of several modalities counts for each', columns,
    found.bars.map(function (bar) {
      return [esc(label(bar.at, found.months))].concat(found.names.map(function (name) {
        return bar.by[name] ? parts.figure(bar.by[name]) : '';
      }));
    })) + '</details>\n';
}

exports.figure = function (times, year) {
  var found = exports.bars(times, year);
  if (!found.bars.length) {
    return '';
  }
  var first = found.bars[0].at;
  var last = found.bars[found.bars.length - 1].at;
  var most = Math.max.apply(null, found.bars.map(function (bar) {
    return bar.sum;
  }));
  var span = label(first, found.months) + (last > first ? ' to ' + label(last, found.months) : '');
  return '<figure><svg viewBox="0 -4 ' + WIDTH + ' ' + (HEIGHT + 24) + '" role="img" aria-label="' + esc('Studies by ' +
    (found.months ? 'month' : 'year') + ' and modality, ' + span + ', at most ' + most) + '">' + picture(found, first, last, most) +
    '<path class="axis" d="M0 ' + HEIGHT + 'H' + WIDTH + '"/><text x="0" y="' + (HEIGHT + 16) + '">' + esc(label(first, found.months)) +
    '</text>' + (last > first ? '<text x="' + WIDTH + '" y="' + (HEIGHT + 16) + '" text-anchor="end">' + esc(label(last, found.months)) + '</text>' : '') +
    '</svg><figcaption><ul class="row">' + found.names.map(function (name, index) {
      return '<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true"><rect class="c' + index + '" width="10" height="10"/></svg> ' +
        esc(name || 'no modality') + '</li>';
    }).join('') + '</ul>' + (found.outside ? '<p class="note">' + parts.plural(found.outside, 'study has', 'studies have') +
      ' another date or none.</p>' : '') + '</figcaption></figure>\n' + table(found);
};
