'use strict';

// Reads rows out of a view's index: key ranges, lists of keys, reduced or not. Rows come in pages, so that a reader who
// stops early does not pay for the rest.

const { AFTER, encodeKey } = require('./collation');
const { readDocuments } = require('./read-documents');
const { ReduceError } = require('./reduce');
const { HttpError } = require('./http');
const { reduces } = require('./query-options');
const { rowPrefix } = require('./view-index');

const PAGE = 500;
const SERIAL = Buffer.from([0x00]);

function bytes(...parts) {
  return Buffer.concat(parts.map(part => Buffer.from(part)));
}

// The range of row keys for one query; throws where it can hold nothing, as CouchDB does.
function rangeOf(view, options) {
  const prefix = rowPrefix(view);
  const encode = key => bytes(prefix, encodeKey(key, view.raw));
  const down = Boolean(options.descending);
  let { startkey: start, endkey: end } = options;
  let inclusive = options.inclusive_end !== false;
  if (options.key !== undefined) {
    start = end = options.key;
    inclusive = true;
  }
  const range = { reverse: down, gte: prefix, lt: bytes(prefix, AFTER) };
  if (start !== undefined && end !== undefined
      && Buffer.compare(encode(start), encode(end)) * (down ? -1 : 1) > 0) {
    throw new HttpError(400, 'query_parse_error',
      'No rows can match your key range, reverse your start_key and end_key or set descending=true');
  }
  if (start !== undefined) {
    const at = options.startkey_docid;
    if (down) {
      range.lt = bytes(encode(start), at === undefined ? '' : at, at === undefined ? AFTER : bytes(SERIAL, AFTER));
    } else {
      range.gte = bytes(encode(start), at === undefined ? '' : at);
    }
  }
  if (end !== undefined) {
    const at = options.endkey_docid;
    if (down) {
      range.gte = inclusive ? bytes(encode(end), at === undefined ? '' : at) : bytes(encode(end), AFTER);
    } else {
      range.lt = inclusive
        ? bytes(encode(end), at === undefined ? '' : at, at === undefined ? AFTER : bytes(SERIAL, AFTER))
        : encode(end);
    }
  }
  return range;
}

function row(value) {
  const [key, emitted, id] = JSON.parse(value.toString());
  return { id, key, value: emitted };
}

// The rows of several ranges, one after the other: {read(count), close()} with fewer than `count` rows at the end.
function rows(index, ranges) {
  let cursor = null;
  return {
    async read(count) {
      const found = [];
      while (found.length < count && (cursor || ranges.length)) {
        cursor = cursor || index.level.cursor(ranges.shift());
        const wanted = count - found.length;
        const page = await cursor.read(wanted);
        page.forEach(([, value]) => found.push(row(value)));
        if (page.length < wanted) {
          await cursor.close();
          cursor = null;
        }
      }
      return found;
    },
    async close() {
      ranges = [];
      if (cursor) {
        const open = cursor;
        cursor = null;
        await open.close();
      }
    }
  };
}

// Passes `skip` rows over and ends after `limit`.
function slice(source, skip, limit) {
  let left = limit === undefined ? Infinity : limit;
  return {
    async read(count) {
      while (skip > 0) {
        const passed = await source.read(Math.min(skip, PAGE));
        skip = passed.length < Math.min(skip, PAGE) ? 0 : skip - passed.length;
      }
      const page = await source.read(Math.min(count, left));
      left -= page.length;
      return page;
    },
    close: () => source.close()
  };
}

// Adds the documents that rows stand for; `value._id` names a linked document.
function withDocuments(source, db, options) {
  return {
    async read(count) {
      const page = await source.read(count);
      const ids = page.map(one => one.value && typeof one.value === 'object' && typeof one.value._id === 'string'
        ? one.value._id : one.id);
      const docs = await readDocuments(db, ids, options);
      page.forEach((one, i) => { one.doc = docs[i]; });
      return page;
    },
    close: () => source.close()
  };
}

function groupKey(key, options) {
  if (options.group && options.group_level === undefined) {
    return key;
  }
  if (options.group_level > 0) {
    return Array.isArray(key) ? key.slice(0, options.group_level) : key;
  }
  return null;
}

// Reduced rows {key, value}: one a group, in key order.
function reduced(source, makeAccumulator, options) {
  let waiting = [];
  let ended = false;
  let group = null;
  const finish = () => {
    let value;
    try {
      value = group.accumulator.result();
    } catch (error) {
      value = { error: error.name, reason: error.message };
    }
    waiting.push({ key: group.key, value: group.failure || value });
    group = null;
  };
  const take = ({ id, key, value }) => {
    const own = groupKey(key, options);
    const name = JSON.stringify(own);
    if (group && group.name !== name) {
      finish();
    }
    group = group || { name, key: own, accumulator: makeAccumulator() };
    if (!group.failure) {
      try {
        group.accumulator.add(key, id, value);
      } catch (error) {
        if (!(error instanceof ReduceError)) {
          throw error;
        }
        // CouchDB answers 200 with the error in the row.
        group.failure = { error: 'builtin_reduce_error', reason: error.message, caused_by: value };
      }
    }
  };
  return {
    async read(count) {
      while (waiting.length < count && !ended) {
        const page = await source.read(PAGE);
        page.forEach(take);
        ended = page.length < PAGE;
        if (ended && group) {
          finish();
        }
      }
      const page = waiting.slice(0, count);
      waiting = waiting.slice(count);
      return page;
    },
    close: () => source.close()
  };
}

// {head, read(count), close()}: `head` is what a list function gets, `read` gives the rows.
function queryView(index, view, options) {
  const isReduced = reduces(options, view);
  const keys = options.keys && (options.descending ? options.keys.slice().reverse() : options.keys);
  const ranges = keys
    ? keys.map(key => rangeOf(view, Object.assign({}, options, { key })))
    : [rangeOf(view, options)];
  if (isReduced) {
    // Keys are reduced one by one, each to the row of its own group.
    const sources = ranges.map(range => reduced(rows(index, [range]), view.reduce, options));
    return Object.assign({ head: {} }, slice(chain(sources), options.skip || 0, options.limit));
  }
  let source = slice(rows(index, ranges), options.skip || 0, options.limit);
  if (options.include_docs) {
    source = withDocuments(source, index.db, options);
  }
  const head = { total_rows: index.totals[view.number], offset: options.skip || 0 };
  if (options.update_seq) {
    head.update_seq = index.seq;
  }
  return Object.assign({ head }, source);
}

function chain(sources) {
  return {
    async read(count) {
      const found = [];
      while (found.length < count && sources.length) {
        const wanted = count - found.length;
        const page = await sources[0].read(wanted);
        page.forEach(one => found.push(one));
        if (page.length < wanted) {
          await sources.shift().close();
        }
      }
      return found;
    },
    async close() {
      await Promise.all(sources.map(source => source.close()));
    }
  };
}

module.exports = { queryView };
