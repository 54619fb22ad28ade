// Dates, times and date-times (PS3.4 C.2.2.2.1, C.2.2.2.5, PS3.5 6.2). A value names a span: "1030" is 10:30:00.000000 to
// 10:30:59.999999. A stored value matches when its beginning lies in the span that the query names.
// Spans are strings of digits of one length, so they compare as text.

var grammar = require('tables/temporal');

var DATE = new RegExp('^' + grammar.DA + '$');
var TIME = new RegExp('^' + grammar.TM + '$');
var ONE = new RegExp('^(' + grammar.DT + ')(' + grammar.offset + ')?$');

function filled(text, model) {
  return text + model.slice(text.length);
}

// A DA as eight digits, also from the old form 1999.12.31; '' when it is none.
function date(text) {
  var plain = text.replace(/\./g, '');
  return DATE.test(plain) ? plain : '';
}

// A TM of any precision filled up to HHMMSSFFFFFF with the lowest or the highest digits; '' when it is none.
function time(text, high) {
  var plain = text.replace(/:/g, '');
  if (!TIME.test(plain)) {
    return '';
  }
  // 60 is the second of a leap second.
  return filled(plain.replace('.', ''), high ? '235960999999' : '000000000000');
}

// Minutes from UTC of an offset such as "-0530".
function minutes(offset) {
  return (offset.charAt(0) === '-' ? -1 : 1) * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(3, 5)));
}

// The same moment in UTC as a text that sorts. Years begin in March here, so that a leap day comes last.
function universal(clock, offset) {
  var year = Number(clock.slice(0, 4));
  var month = Number(clock.slice(4, 6));
  var shifted = month > 2 ? year : year - 1;
  var days = 365 * shifted + Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400) +
    Math.floor((153 * ((month + 9) % 12) + 2) / 5) + Number(clock.slice(6, 8));
  var count = (days * 24 + Number(clock.slice(8, 10))) * 60 + Number(clock.slice(10, 12)) - minutes(offset);
  // The constant keeps the count positive and of ten digits.
  return String(count + 1000000000).slice(-10) + clock.slice(12);
}

function moment(text, offset, high) {
  return { clock: filled(text.replace('.', ''), high ? '99991231235960999999' : '00000101000000000000'), offset: offset || '' };
}

// Offsets count where both sides have one (PS3.4 C.2.2.2.5.3); else the clocks are compared as they are.
function before(a, b) {
  return a.offset && b.offset ? universal(a.clock, a.offset) <= universal(b.clock, b.offset) : a.clock <= b.clock;
}

function datetimes(value) {
  var match = ONE.exec(value);
  if (match) {
    return { low: moment(match[1], match[2], false), high: moment(match[1], match[2], true) };
  }
  // Each hyphen may be the one between the ends. Of several that can be, "1059-1059-0500", the last that leaves the ends in
  // order is meant, else the last.
  var found = null;
  for (var at = value.length - 1; at >= 0; at -= 1) {
    var read = value.charAt(at) === '-' ? between(value.slice(0, at), value.slice(at + 1)) : null;
    if (read && (!read.low || !read.high || before(read.low, read.high))) {
      return read;
    }
    found = found || read;
  }
  return found;
}

// A range by its ends, null for an open one; null when they are none.
function between(from, to) {
  var low = ONE.exec(from);
  var high = ONE.exec(to);
  if ((from !== '' && !low) || (to !== '' && !high)) {
    return null;
  }
  return { low: low && moment(low[1], low[2], false), high: high && moment(high[1], high[2], true) };
}

// zone: the data set's Timezone Offset From UTC (0008,0201), for stored values without an offset of their own.
function datetimeTest(value) {
  var wanted = datetimes(value);
  return function (stored, zone) {
    var match = ONE.exec(stored);
    if (!wanted || !match) {
      return false;
    }
    var begin = moment(match[1], match[2] || zone, false);
    return (!wanted.low || before(wanted.low, begin)) && (!wanted.high || before(begin, wanted.high));
  };
}

// Two ends of a DA or TM key, '' for an open one.
function ends(value) {
  var at = value.indexOf('-');
  return at < 0 ? [value, value] : [value.slice(0, at), value.slice(at + 1)];
}

function span(value, read) {
  var pair = ends(value);
  return {
    low: pair[0] === '' ? '' : read(pair[0], false) || '\uffff',
    high: pair[1] === '' ? '\uffff' : read(pair[1], true)
  };
}

function within(text, wanted) {
  return text !== '' && text >= wanted.low && text <= wanted.high;
}

function trimmed(stored) {
  return typeof stored === 'string' ? stored.replace(/^ +| +$/g, '') : '';
}

// A test for one wanted value: function (stored value, zone).
exports.compile = function (vr, value) {
  if (vr === 'DT') {
    var test = datetimeTest(value);
    return function (stored, zone) {
      return test(trimmed(stored), zone);
    };
  }
  var read = vr === 'DA' ? date : time;
  var wanted = span(value, read);
  return function (stored) {
    return within(read(trimmed(stored), false), wanted);
  };
};

// A date range and a time range of the same form are one range of moments (combined datetime matching, PS3.4 C.2.2.2.5.4).
// A study without a time counts as one of midnight.
exports.combined = function (dates, times) {
  var date0 = ends(dates);
  var time0 = ends(times);
  var low = date0[0] === '' ? '' : date(date0[0]) + time(time0[0], false);
  var high = date0[1] === '' ? '\uffff' : date(date0[1]) + time(time0[1], true);
  return function (storedDate, storedTime) {
    var day = date(trimmed(storedDate));
    return day !== '' && within(day + (time(trimmed(storedTime), false) || '000000000000'), { low: low, high: high });
  };
};
