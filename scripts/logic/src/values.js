'use strict';

// Values of matching keys: splitting them, and refusing what a VR cannot have, as shim/rewrite/values.py does
// (PS3.4 C.2.2.2, PS3.5 6.2). tests/designdocs/test_logic.py compares the two.

const dictionary = require('logic/dictionary');
const grammar = require('tables/temporal');
const vrs = require('tables/vrs');

const UNKNOWN = 'UN';
const BINARY = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW']);
const MULTIPLE = new Set(['AE', 'AS', 'AT', 'CS', 'LO', 'PN', 'SH', 'UC', UNKNOWN]);
const MOST_VALUES = 100;
const MOST_UIDS = 10000;
const ONE = { DA: grammar.DA, TM: grammar.TM, DT: `${grammar.DT}(?:${grammar.offset})?` };
const KIND = { DA: 'a date YYYYMMDD', TM: 'a time HHMMSS.FFFFFF', DT: 'a date-time YYYYMMDDHHMMSS.FFFFFF&ZZXX' };
const UID = /^[0-9A-Za-z._-]{1,64}$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const TAG = /^[0-9A-Fa-f]{8}$/;
const CONTROL = /[\u0000-\u001f\u007f]/;

const byTag = new Map();
const byKeyword = new Map();
for (const line of dictionary.split('\n')) {
  byTag.set(line.slice(0, 8), line.slice(8, 10));
  byKeyword.set(line.slice(10), line.slice(0, 8));
}
byKeyword.delete('');

/** A request that cannot be answered; `status` is what a server says. */
class QueryError extends Error {
  constructor(reason, status = 400) {
    super(reason);
    this.name = 'QueryError';
    this.status = status;
  }
}

// Groups 50xx and 60xx repeat (PS3.5 7.6); they are listed once, with x for what differs.
function known(tag) {
  return byTag.get(tag) || byTag.get(`${tag.slice(0, 2)}xx${tag.slice(4)}`);
}

function vrOf(tag) {
  return known(tag) || UNKNOWN;
}

function stripped(text, letters) {
  let start = 0;
  let end = text.length;
  while (start < end && letters.includes(text[start])) {
    start += 1;
  }
  while (end > start && letters.includes(text[end - 1])) {
    end -= 1;
  }
  return text.slice(start, end);
}

function splitValues(vr, text) {
  const values = vr === 'CS' || vr === 'UI' ? text.split(/[,\\]/) : vrs.single.includes(vr) ? [text] : text.split('\\');
  const nothing = vr === 'PN' ? ' ^=' : ' ';
  const some = values.filter(value => stripped(value, nothing)).map(value => (vr === 'UI' ? value.trim() : value));
  return some.length ? some : [''];
}

function isUniversal(value) {
  return stripped(value, '*') === '';
}

function isWild(value) {
  return /[*?]/.test(value);
}

// Whether the calendar and the clock have such a date or time.
function exists(vr, text) {
  const digits = vr === 'DA' ? text.replace(/[.:]/g, '') : text.replace(/:/g, '').split(/[.+-]/)[0];
  const [date, time] = vr === 'DA' ? [digits, ''] : vr === 'TM' ? ['', digits] : [digits.slice(0, 8), digits.slice(8)];
  if (date) {
    const [year, month, day] = [date.slice(0, 4), date.slice(4, 6) || 1, date.slice(6, 8) || 1].map(Number);
    const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
    const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1])) {
      return false;
    }
  }
  const [hour, minute, second] = [0, 2, 4].map(at => Number(time.slice(at, at + 2) || 0));
  return hour <= 23 && minute <= 59 && second <= 60;
}

function problem(vr, value) {
  if (isUniversal(value)) {
    return '';
  }
  if (CONTROL.test(value)) {
    return 'holds control characters';
  }
  const text = stripped(value, ' ');
  if (ONE[vr]) {
    const found = new RegExp(`^(?:(${ONE[vr]})|(${ONE[vr]})?-(${ONE[vr]})?)$`).exec(text);
    if (!found || text === '-' || !found.slice(1).every(one => !one || exists(vr, one))) {
      return `is not ${KIND[vr]} or a range of two`;
    }
  }
  if (vr === 'UI' && !UID.test(text)) {
    return 'is not a UID';
  }
  if (vrs.numeric.includes(vr) && !(NUMBER.test(text) && text.length <= 32)) {
    return 'is not a number';
  }
  return vr === 'AT' && !TAG.test(text) ? 'is not a tag of eight hexadecimal digits' : '';
}

// As Python writes a text.
function quoted(text) {
  const escaped = text.replace(/\\/g, '\\\\').replace(/[\u0000-\u001f\u007f]/g, one => (
    { '\t': '\\t', '\n': '\\n', '\r': '\\r' }[one] || `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`));
  return !text.includes("'") ? `'${escaped}'` : text.includes('"') ? `'${escaped.replace(/'/g, "\\'")}'` : `"${escaped}"`;
}

// Refuse values that their VR cannot have.
function check(name, vr, values) {
  const most = vr === 'UI' ? MOST_UIDS : MOST_VALUES;
  if (values.length > most) {
    throw new QueryError(`${name}: ${values.length} values are more than the ${most} that are read`);
  }
  for (const value of values) {
    const wrong = problem(vr, value);
    if (wrong) {
      throw new QueryError(`${name}: ${quoted(value.length <= 80 ? value : value.slice(0, 77) + '...')} ${wrong}`);
    }
  }
}

// Whether a date key and a time key are ranges that are open at the same end (PS3.4 C.2.2.2.5.4).
function sameForm(dates, times) {
  const [first, second] = [dates, times].map(text => /^([^-]*)(-?)([^]*)$/.exec(text.trim()));
  return !!first[2] && !!second[2] && [1, 3].every(end => !first[end] === !second[end]);
}

module.exports = {
  BINARY, MULTIPLE, TAG, UID, UNKNOWN, QueryError, check, isUniversal, isWild, sameForm, splitValues, stripped, vrOf,
  has: tag => byTag.has(tag),
  tagOf: keyword => byKeyword.get(keyword)
};
