// Dates, times and date-times (PS3.4 C.2.2.2.5, PS3.5 6.2). A value names a span: "1030" is 10:30:00.000000 to
// 10:30:59.999999. A stored value matches when its beginning lies in the span that the query names.

function digits(text) {
  return text.replace(/[.:-]/g, '');
}

// A DA as eight digits, also from the old form 1999.12.31; '' when it is none.
function date(text) {
  var plain = digits(text);
  return /^\d{8}$/.test(plain) ? plain : '';
}

// A TM of any precision filled up to HHMMSSFFFFFF with the lowest or highest digits; '' when it is none.
function time(text, high) {
  var match = /^(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?$/.exec(text);
  if (!match) {
    return '';
  }
  var fraction = match[4] || '';
  while (fraction.length < 6) {
    fraction += high ? '9' : '0';
  }
  return match[1] + (match[2] || (high ? '59' : '00')) + (match[3] || (high ? '60' : '00')) + fraction;
}

// A DT without its offset from UTC, filled up to YYYYMMDDHHMMSSFFFFFF; '' when it is none.
function datetime(text, high) {
  var match = /^(\d{4})(\d\d)?(\d\d)?(\d\d(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?)?(?:[+-]\d{4})?$/.exec(text);
  if (!match) {
    return '';
  }
  return match[1] + (match[2] || (high ? '12' : '01')) + (match[3] || (high ? '31' : '01')) +
    time(match[4] || (high ? '23' : '00'), high);
}

var READ = { DA: date, TM: time, DT: datetime };

// Where the hyphen of a range stands; -1 for a single value. In a DT a hyphen may also begin an offset from UTC.
function hyphen(vr, text) {
  if (vr !== 'DT') {
    return text.indexOf('-');
  }
  var at = -1;
  for (var i = 0; i < text.length; i += 1) {
    if (text.charAt(i) === '-' && !/^\d{4}(?:-|$)/.test(text.slice(i + 1)) || (text.charAt(i) === '-' && i === 0)) {
      at = i;
      break;
    }
    if (text.charAt(i) === '-' && /^\d{4}$/.test(text.slice(i + 1)) && text.length <= 9) {
      at = i;
      break;
    }
  }
  return at;
}

exports.compile = function (vr, value) {
  var read = READ[vr];
  var at = hyphen(vr, value);
  var from = at < 0 ? value : value.slice(0, at);
  var to = at < 0 ? value : value.slice(at + 1);
  var low = from === '' ? '' : read(from, false);
  var high = to === '' ? '\uffff' : read(to, true);
  return function (stored) {
    var begin = typeof stored === 'string' ? read(stored.replace(/^ +| +$/g, ''), false) : '';
    return begin !== '' && begin >= low && begin <= high;
  };
};

exports.hyphen = hyphen;
