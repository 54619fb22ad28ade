'use strict';

// A QIDO-RS request, understood (PS3.18 8.3.4, 10.6.1.2), as shim/rewrite/query.py does.

const levels = require('tables/levels');
const values = require('logic/values');

const { QueryError, UNKNOWN, vrOf } = values;
const COMPUTED = new Set([
  '00080005', '00081190', '00080056', '00201206', '00201208', '00201209', '00201200', '00201202', '00201204'
]);
const LEVELS = ['study', 'series', 'instance'];
const TRANSFER_SYNTAX = '00020010';
const AVAILABLE_SYNTAX = '00083002';
const FLAGS = ['fuzzymatching', 'emptyvaluematching', 'multiplevaluematching'];
const NOT_KEYS = new Set(['accept', 'charset', 'explain', ...FLAGS]);
const WORDS = new Set(['includefield', 'limit', 'offset', ...FLAGS]);
const MOST = 500;
const DEEPEST_PATH = 10;
const MOMENTS = {
  '00080012': '00080013', '00080020': '00080030', '00080021': '00080031', '00080022': '00080032', '00080023': '00080033',
  '00400002': '00400003', '00400244': '00400245', '00400250': '00400251'
};
const RESOURCE = /^\/?(?:studies\/([^/]+)\/(?:series\/([^/]+)\/)?)?(studies|series|instances)$/;

// The level whose rows carry an attribute.
function levelOf(tag) {
  return levels.study[tag] || tag === '00080061' ? 'study' : levels.series[tag] ? 'series' : 'instance';
}

class Query {
  constructor(level, maximum) {
    Object.assign(this, { level, keys: {}, include: {}, limit: maximum, offset: 0, unknown: [], limitGiven: false, names: {} });
  }

  // The values of a key that narrow the search; none when any value will do.
  values(tag) {
    const key = this.keys[tag] || {};
    const some = key.values || [];
    return key.empty || some.some(values.isUniversal) ? [] : some;
  }

  carrier(tag) {
    return levels.beside[tag] ? this.level : levelOf(tag);
  }

  ofLevel(level) {
    return Object.fromEntries(Object.entries(this.keys).filter(([tag]) => this.carrier(tag) === level));
  }

  // What rows of a level have, as lib/search/fields reads it. only: of a parent that the path names.
  fields(level, only = false) {
    if (this.include === 'all') {
      return only ? { include: {}, only } : { include: 'all' };
    }
    const named = Object.fromEntries(Object.entries(this.include).filter(([tag]) => this.carrier(tag) === level));
    const matched = Object.fromEntries(Object.keys(this.ofLevel(level)).map(tag => [tag, true]));
    return only ? { include: named, only } : { include: { ...matched, ...named } };
  }

  // Keys below the level of the resource are ignored, and named.
  dropBelow(level) {
    for (const tag of Object.keys(this.keys)) {
      if (LEVELS.indexOf(this.carrier(tag)) > LEVELS.indexOf(level)) {
        delete this.keys[tag];
        this.unknown.push(this.names[tag] || tag);
      }
    }
  }
}

function tagOf(name) {
  return values.TAG.test(name) ? name.toUpperCase() : values.tagOf(name) || '';
}

// The tags of a keyword, of eight hexadecimal digits, or of a dotted path of these; null for nothing.
function attributePath(name) {
  const path = name.split('.').map(tagOf);
  return path.every(Boolean) && path.length <= DEEPEST_PATH ? path : null;
}

function wholeNumber(name, text) {
  if (!/^[0-9]{1,15}$/.test(text)) {
    throw new QueryError(`${name} must be a whole number of 0 or more, not '${text.slice(0, 80)}'`);
  }
  return Number(text);
}

function flag(name, value) {
  if (!['true', 'false'].includes(value.toLowerCase())) {
    throw new QueryError(`${name} must be true or false, not '${value.slice(0, 80)}'`);
  }
  return value.toLowerCase() === 'true';
}

function isPrivate(tag) {
  const group = parseInt(tag.slice(0, 4), 16);
  return group % 2 === 1 && group > 7 && group < 0xffff;
}

function canBe(path) {
  return path.every(tag => isPrivate(tag) || values.has(tag)) &&
    path.slice(0, -1).every(tag => ['SQ', UNKNOWN].includes(vrOf(tag)));
}

function addPath(tree, [tag, ...rest]) {
  if (parseInt(tag.slice(0, 4), 16) % 2 && tag.slice(4, 6) !== '00') {
    const creator = `${tag.slice(0, 4)}00${tag.slice(4, 6)}`;
    tree[creator] = tree[creator] === undefined ? true : tree[creator];
  }
  if (!rest.length) {
    tree[tag] = true;
  } else if ((tree[tag] = tree[tag] || {}) !== true) {
    addPath(tree[tag], rest);
  }
}

function readInclude(query, names) {
  if (names.length > MOST) {
    throw new QueryError(`includefield: ${names.length} names are more than the ${MOST} that are read`);
  }
  for (const name of names) {
    const path = attributePath(name);
    if (name.toLowerCase() === 'all') {
      query.include = 'all';
    } else if (name && !(path && canBe(path))) {
      query.unknown.push(`includefield=${name}`);
    } else if (path && query.include !== 'all') {
      addPath(query.include, path);
      if (path.length === 1 && path[0] === TRANSFER_SYNTAX) {
        query.include[AVAILABLE_SYNTAX] = true;
      }
    }
  }
}

function readKey(query, name, value, flags) {
  let path = attributePath(name);
  path = path && path.length === 1 && path[0] === TRANSFER_SYNTAX ? [AVAILABLE_SYNTAX] : path;
  const vr = path ? vrOf(path[path.length - 1]) : '';
  if (!path || COMPUTED.has(path[0]) || values.BINARY.has(vr)) {
    query.unknown.push(name);
    return;
  }
  const both = new QueryError(`${name.slice(0, 200)} is asked for both as a sequence and as a value`);
  query.names[path[0]] = query.names[path[0]] || name;
  let level = query.keys;
  for (const tag of path.slice(0, -1)) {
    const above = level[tag] = level[tag] || { vr: 'SQ', items: {} };
    if (!above.items) {
      throw both;
    }
    level = above.items;
  }
  const last = path[path.length - 1];
  const key = level[last] = level[last] || (vr === 'SQ' ? { vr, items: {} } : { vr, values: [] });
  if (value === '""' && flags.emptyvaluematching) {
    key.empty = true;
  } else if (key.values) {
    const some = values.splitValues(vr, value);
    values.check(name.slice(0, 200), vr, some);
    key.values = [...new Set([...key.values, ...some])];
  } else if (vr !== 'SQ') {
    throw both;
  } else if (value !== '') {
    query.unknown.push(`${name}=${value}`);
  }
}

// Marks what the flags and other keys change about each key.
function finish(keys, flags) {
  for (const [tag, key] of Object.entries(keys)) {
    const some = key.values || [];
    if (key.items) {
      finish(key.items, flags);
    } else if (key.vr === 'PN' && flags.fuzzymatching) {
      key.fuzzy = true;
    }
    const several = some.length > 1 || (key.vr === UNKNOWN && some.join('').includes(','));
    if (flags.multiplevaluematching && values.MULTIPLE.has(key.vr) && several) {
      key.every = true;
    }
    const times = (keys[MOMENTS[tag]] || {}).values || [];
    if (some.length === 1 && times.length === 1 && !key.empty && values.sameForm(some[0], times[0])) {
      key.time = MOMENTS[tag];
    }
  }
}

/** The query of a resource such as `/studies/1.2/series?Modality=CT`: { query, study, series }. */
function parse(target, maximum) {
  const [path, text = ''] = target.split(/\?([^]*)/);
  const resource = RESOURCE.exec(path);
  if (!resource || (resource[3] === 'studies' && resource[1]) || (resource[3] === 'series' && resource[2])) {
    throw new QueryError(`there is no resource ${path}`, 404);
  }
  const [study = null, series = null] = resource.slice(1, 3).map(one => one && decodeURIComponent(one));
  const level = { studies: 'study', series: 'series', instances: 'instance' }[resource[3]];
  const query = new Query(level, maximum);
  for (const uid of [study, series]) {
    if (uid !== null && !values.UID.test(uid)) {
      throw new QueryError(`'${uid.slice(0, 80)}' is not a UID`);
    }
  }
  const pairs = [...new URLSearchParams(`&${text}`)].filter(([name]) => name !== '').map(([name, value]) => (
    [WORDS.has(name.toLowerCase()) ? name.toLowerCase() : name, value]));
  if (pairs.length > MOST) {
    throw new QueryError(`${pairs.length} query parameters are more than the ${MOST} that are read`);
  }
  const flags = Object.fromEntries(pairs.filter(([name]) => FLAGS.includes(name)).map(([name, value]) => [name, flag(name, value)]));
  const included = new Set();
  for (const [name, value] of pairs) {
    if (name === 'limit') {
      const number = wholeNumber(name, value);
      Object.assign(query, { limit: Math.min(number, maximum), limitGiven: number <= maximum });
    } else if (name === 'offset') {
      query.offset = wholeNumber(name, value);
    } else if (name === 'includefield') {
      value.split(',').forEach(one => included.add(one.trim()));
    } else if (!NOT_KEYS.has(name)) {
      readKey(query, name, value, flags);
    }
  }
  readInclude(query, [...included]);
  finish(query.keys, flags);
  query.dropBelow(level);
  return { query, study, series };
}

module.exports = { AVAILABLE_SYNTAX, Query, TRANSFER_SYNTAX, parse };
