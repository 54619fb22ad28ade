// What a person types, read as values of a VR (PS3.5 6.2). Each reader returns the value, or throws a sentence.
var grammar = require('tables/temporal');
var vrs = require('tables/vrs');

var MOST = {
  AE: 16, CS: 16, DS: 16, IS: 12, LO: 64, LT: 10240, PN: 64, SH: 16, ST: 1024, UI: 64, UC: 65534, UR: 65534, UT: 65534
};
var RANGES = { US: [0, 65535], SS: [-32768, 32767], UL: [0, 4294967295], SL: [-2147483648, 2147483647] };

function count(text) {
  // Characters, not UTF-16 code units.
  return text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '.').length;
}

function refuse(reason) {
  throw { refused: reason };
}

function limited(vr, text) {
  if (count(text) > MOST[vr]) {
    refuse('has ' + count(text) + ' characters; ' + vr + ' takes ' + MOST[vr]);
  }
  return text;
}

function plain(vr, text) {
  // Line breaks and tabs only in texts (PS3.5 6.1.3); escape sequences belong to encodings, not to values.
  if ((/^(LT|ST|UT)$/.test(vr) ? /[\u0000-\u0008\u000b\u000e-\u001f\u007f]/ : /[\u0000-\u001f\u007f]/).test(text)) {
    refuse('has a control character');
  }
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?:[^\ud800-\udbff]|^)[\udc00-\udfff]/.test(text)) {
    refuse('has half of a character');
  }
  return limited(vr, text);
}

function days(year, month) {
  return month === 2 ? (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28) :
    [4, 6, 9, 11].indexOf(month) >= 0 ? 30 : 31;
}

var DATE = new RegExp('^' + grammar.DA + '$');
var TIME = new RegExp('^' + grammar.TM + '$');
var DATE_TIME = new RegExp('^(' + grammar.DT + ')(?:' + grammar.offset + ')?$');

function date(text) {
  var plain = text.replace(/^(\d{4})([-.])(\d\d)\2(\d\d)$/, '$1$3$4');
  var month = Number(plain.slice(4, 6));
  var day = Number(plain.slice(6));
  if (!DATE.test(plain) || plain.length !== 8 || month < 1 || month > 12 || day < 1 ||
      day > days(Number(plain.slice(0, 4)), month)) {
    refuse('is no date: YYYYMMDD or YYYY-MM-DD');
  }
  return plain;
}

function time(text) {
  var plain = text.replace(/:/g, '');
  // 60 is the second of a leap second.
  if (!TIME.test(text) || plain.slice(0, 2) > '23' || plain.slice(2, 4) > '59' || plain.slice(4, 6) > '60') {
    refuse('is no time: HHMMSS or HH:MM:SS');
  }
  return plain;
}

function dateTime(text) {
  var match = DATE_TIME.exec(text);
  if (!match) {
    refuse('is no date and time: YYYYMMDDHHMMSS');
  }
  date(match[1].slice(0, 8) + '00000101'.slice(match[1].length));
  time(match[1].slice(8) || '00');
  return text;
}

function matching(vr, pattern, hint) {
  return function (text) {
    if (!pattern.test(text)) {
      refuse('is no ' + vr + ': ' + hint);
    }
    return limited(vr, text);
  };
}

// PS3.5 6.2.1: at most three component groups of at most five components, 64 characters each group.
function name(text) {
  var groups = plain('UC', text).split('=');
  var result = {};
  if (groups.length > 3) {
    refuse('has more than three component groups');
  }
  groups.forEach(function (group, index) {
    if (group.split('^').length > 5) {
      refuse('has more than five components');
    }
    if (limited('PN', group)) {
      result[['Alphabetic', 'Ideographic', 'Phonetic'][index]] = group;
    }
  });
  return result;
}

function number(vr) {
  return function (text) {
    var value = Number(text);
    if (text === '' || !/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text) || !isFinite(value)) {
      refuse('is no number');
    }
    if (RANGES[vr] && (value < RANGES[vr][0] || value > RANGES[vr][1] || Math.floor(value) !== value)) {
      refuse('is no whole number from ' + RANGES[vr][0] + ' to ' + RANGES[vr][1]);
    }
    return value;
  };
}

var READ = {
  AE: matching('AE', /^[\u0020-\u005b\u005d-\u007e]+$/, 'printable ASCII characters'),
  AS: matching('AS', /^\d{3}[DWMY]$/, 'three digits and D, W, M or Y, such as 042Y'),
  CS: matching('CS', /^[A-Z0-9_ ]+$/, 'capital letters, digits, blank and underscore'),
  DA: date,
  DS: function (text) {
    limited('DS', text);
    return number('DS')(text);
  },
  DT: dateTime,
  FD: number('FD'),
  FL: number('FL'),
  IS: function (text) {
    limited('IS', text);
    if (!/^[-+]?\d+$/.test(text) || Math.abs(Number(text)) > 2147483648 || Number(text) === 2147483648) {
      refuse('is no whole number from -2147483648 to 2147483647');
    }
    return Number(text);
  },
  PN: name,
  SL: number('SL'),
  SS: number('SS'),
  TM: time,
  UI: matching('UI', /^(0|[1-9]\d*)(\.(0|[1-9]\d*))*$/, 'numbers without leading zeros, separated by dots'),
  UL: number('UL'),
  US: number('US')
};

['LO', 'LT', 'SH', 'ST', 'UC', 'UR', 'UT'].forEach(function (vr) {
  READ[vr] = function (text) {
    return plain(vr, text);
  };
});

// Whether a person can type values of this VR.
exports.can = function (vr) {
  return Object.prototype.hasOwnProperty.call(READ, vr);
};

// vm: "1" or "1-n". Returns { attribute } or { problem }; no text is an empty attribute.
exports.read = function (vr, vm, text) {
  if (!exports.can(vr)) {
    return { problem: 'cannot be typed: ' + vr + ' is not text' };
  }
  var single = vrs.single.indexOf(vr) >= 0;
  var parts = single ? [text] : text.split('\\');
  try {
    if (vm === '1' && parts.length > 1) {
      refuse('has ' + parts.length + ' values; this attribute takes one');
    }
    var values = parts.map(function (part) {
      // Leading blanks of a text may be meant, trailing ones never are (PS3.5 6.2).
      return single ? part.replace(/ +$/, '') : part.replace(/^ +| +$/g, '');
    });
    if (values.length === 1 && values[0] === '') {
      return { attribute: { vr: vr } };
    }
    return { attribute: { vr: vr, Value: values.map(function (value) {
      return value === '' ? null : READ[vr](value);
    }) } };
  } catch (problem) {
    if (problem && problem.refused) {
      return { problem: problem.refused };
    }
    throw problem;
  }
};

// An attribute as a person reads and types it.
exports.text = function (attribute) {
  if (!attribute || !Array.isArray(attribute.Value)) {
    return '';
  }
  return attribute.Value.map(function (value) {
    if (value === null || value === undefined) {
      return '';
    }
    if (attribute.vr === 'PN' && typeof value === 'object') {
      return [value.Alphabetic, value.Ideographic, value.Phonetic].map(function (group) {
        return group || '';
      }).join('=').replace(/=+$/, '');
    }
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }).join('\\');
};
