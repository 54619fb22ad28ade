// How the server does: charts of what it counted during the last minutes, each beside its figures as a table.
var html = require('lib/pages/html');

var esc = html.escape;
var WIDTH = 600;
var HEIGHT = 120;
// Lines differ by their dashes as well; the colours are those of the frame.
var COLOURS = ['--c0', '--c1', '--c2', '--c3', '--c4', '--c5', '--c6', '--bad'];
var DASHES = ['', '6 3', '2 3', '10 3 2 3', '1 4', '8 6', '4 2', '12 4'];
var SECONDS_AGAIN = 10;

function figure(value, unit) {
  if (value === null || value === undefined) {
    return '\u2013';
  }
  if (unit === 's') {
    return value < 1 ? round(value * 1000) + ' ms' : round(value) + ' s';
  }
  if (unit === 'B/s') {
    return value < 1e3 ? round(value) + ' B/s' : value < 1e6 ? round(value / 1e3) + ' kB/s' : round(value / 1e6) + ' MB/s';
  }
  return (unit === '%' ? round(value * 100) : round(value)) + (unit ? '\u00a0' + unit : '');
}

// Three digits at the most, behind the point.
function round(value) {
  return String(value >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
}

function known(values) {
  return values.filter(function (value) {
    return value !== null;
  });
}

// The next number of 1, 2 or 5 with zeros.
function above(value) {
  var power = Math.pow(10, Math.floor(Math.log(value) / Math.LN10));
  var factor = [1, 2, 5, 10].filter(function (one) {
    return one * power >= value * 0.999;
  })[0];
  return (factor || 10) * power;
}

function path(values, ages, longest, top) {
  var text = '';
  var isOpen = false;
  values.forEach(function (value, index) {
    if (value !== null) {
      var place = (WIDTH * (1 - ages[index] / longest)).toFixed(1) + ' ' + (HEIGHT * (1 - value / top)).toFixed(1);
      // A point without neighbours is drawn as well.
      text += (isOpen ? 'L' : 'M') + place + (isOpen ? '' : 'l0 0');
    }
    isOpen = value !== null;
  });
  return text;
}

function stroke(index) {
  return ' fill="none" stroke="var(' + COLOURS[index % COLOURS.length] + ')" stroke-width="2" stroke-linecap="round" stroke-dasharray="' +
    DASHES[index % DASHES.length] + '"';
}

// chart: title, unit, lines [{ name, values }], top (where the scale ends, when that is known).
function drawn(chart, ages, longest) {
  var most = Math.max.apply(null, [0].concat(chart.lines.reduce(function (all, line) {
    return all.concat(known(line.values));
  }, [])));
  var top = chart.top || (most > 0 ? above(most) : 1);
  var minutes = Math.round(longest / 60);
  return '<svg role="img" aria-label="' + esc(chart.title + ' during the last ' + minutes + ' minutes; the table has the figures') +
    '" viewBox="0 -14 ' + WIDTH + ' ' + (HEIGHT + 32) + '">' +
    '<path d="M0 0H' + WIDTH + 'M0 ' + HEIGHT / 2 + 'H' + WIDTH + 'M0 ' + HEIGHT + 'H' + WIDTH + '" stroke="currentColor" stroke-opacity=".3"/>' +
    '<text y="-3">' + esc(figure(top, chart.unit)) + '</text><text y="' + (HEIGHT + 14) + '">' + minutes + ' min ago</text>' +
    '<text x="' + WIDTH + '" y="' + (HEIGHT + 14) + '" text-anchor="end">now</text>' + chart.lines.map(function (line, index) {
    return '<path d="' + path(line.values, ages, longest, top) + '"' + stroke(index) + '/>';
  }).join('') + '</svg>\n';
}

function row(line, index, unit) {
  var told = known(line.values);
  var sum = told.reduce(function (before, value) {
    return before + value;
  }, 0);
  var swatch = '<svg class="key" viewBox="0 0 16 16" aria-hidden="true"><path d="M1 8H15"' + stroke(index) + '/></svg> ';
  return [swatch + esc(line.name)].concat([
    line.values.length ? line.values[line.values.length - 1] : null, told.length ? sum / told.length : null,
    told.length ? Math.max.apply(null, told) : null
  ].map(function (value) {
    return esc(figure(value, unit));
  }));
}

function chartOf(chart, ages, longest) {
  var columns = [{ title: 'Line', bare: true }, { title: 'Now', kind: 'number' }, { title: 'Mean', kind: 'number' }, { title: 'Most', kind: 'number' }];
  return '<section><h2>' + esc(chart.title) + '</h2>\n' + drawn(chart, ages, longest) + html.table(chart.what, columns,
    chart.lines.map(function (line, index) {
      return row(line, index, chart.unit);
    })) + '</section>\n';
}

function lines(series) {
  return Object.keys(series).map(function (name) {
    return { name: name, values: series[name] };
  });
}

// given: ages (seconds since the end of each step), longest (seconds that are shown), series (by name, see dicouch.routes.status), now
// (by what it is, a number), isStill.
exports.page = function (given) {
  var series = given.series;
  var charts = [
    { title: 'Requests a second', what: 'By kind; errors are answers with a status of 500 or more', unit: '/s', lines: lines(series.requests) },
    { title: 'Half of the answers within', what: 'p50 of the time until an answer is sent, by kind', unit: 's', lines: lines(series.p50) },
    { title: '95 of 100 answers within', what: 'p95 of the time until an answer is sent, by kind', unit: 's', lines: lines(series.p95) },
    { title: 'What CouchDB and the shim took', what: 'A request, until its answer began', unit: 's', lines: lines(series.took) },
    { title: 'Memory', what: 'Looks into the shim\u2019s memory that found something', unit: '%', top: 1, lines: lines(series.memory) },
    { title: 'Index', what: 'Changes that the index of the searches does not have yet', unit: '', lines: lines(series.behind) },
    { title: 'Bytes a second', what: 'Bodies of requests and of answers', unit: 'B/s', lines: lines(series.bytes) }
  ];
  var body = '<p>' + (given.isStill ? 'This page stays as it is. <a href="?">Load it every ' + SECONDS_AGAIN + ' seconds</a>' :
    'Loaded again every ' + SECONDS_AGAIN + ' seconds. <a href="?still=1">Stop that</a>') + '. The same as numbers for Prometheus: <a href="' +
    esc(html.rootOf(given.origin) || '') + '/metrics">/metrics</a>.</p>\n' + html.table('At the moment', [{ title: 'What', bare: true }, { title: 'Number', kind: 'number' }],
    given.now.map(function (pair) {
      return [esc(pair[0]), figure(pair[1], '')];
    })) + (given.ages.length ? charts.map(function (chart) {
    return chartOf(chart, given.ages, given.longest);
  }).join('') : '<p>Charts begin some seconds after the server has started.</p>\n');
  return { title: 'Status', here: 'status', body: body, refresh: given.isStill ? 0 : SECONDS_AGAIN };
};
