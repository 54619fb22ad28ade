'use strict';

// CouchDB's built-in reduces, and reduces written in JavaScript.

class ReduceError extends Error {}

const SUM = 'The _sum function requires that map values be numbers, arrays of numbers, or objects.';
const STATS = 'The _stats function requires that map values be numbers or arrays of numbers.';

function add(left, right) {
  if (typeof left === 'number' && typeof right === 'number') {
    return left + right;
  }
  if (Array.isArray(left) || Array.isArray(right)) {
    const a = Array.isArray(left) ? left : [left];
    const b = Array.isArray(right) ? right : [right];
    const total = [];
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
      total.push(add(i < a.length ? a[i] : 0, i < b.length ? b[i] : 0));
    }
    return total;
  }
  if (left === 0) {
    return right;
  }
  if (right !== null && typeof left === 'object' && typeof right === 'object') {
    const total = Object.assign({}, left);
    for (const name of Object.keys(right)) {
      total[name] = Object.hasOwn(total, name) ? add(total[name], right[name]) : right[name];
    }
    return total;
  }
  throw new ReduceError(SUM);
}

function checkSummable(value) {
  if (value === null || (typeof value !== 'number' && typeof value !== 'object')) {
    throw new ReduceError(SUM);
  }
  if (typeof value === 'object') {
    Object.values(value).forEach(checkSummable);
  }
}

function statistics(value) {
  if (Array.isArray(value)) {
    return value.map(statistics);
  }
  if (typeof value !== 'number') {
    throw new ReduceError(STATS);
  }
  return { sum: value, count: 1, min: value, max: value, sumsqr: value * value };
}

function merge(a, b) {
  if (Array.isArray(a) !== Array.isArray(b) || (Array.isArray(a) && a.length !== b.length)) {
    throw new ReduceError(STATS);
  }
  if (Array.isArray(a)) {
    return a.map((item, i) => merge(item, b[i]));
  }
  return {
    sum: a.sum + b.sum, count: a.count + b.count, min: Math.min(a.min, b.min), max: Math.max(a.max, b.max),
    sumsqr: a.sumsqr + b.sumsqr
  };
}

// Each makes a fresh accumulator {add(key, id, value), result()}; `value` is undefined where `needsValue` is false.
const BUILT_IN = {
  _count: () => {
    let count = 0;
    return { add: () => { count += 1; }, result: () => count };
  },
  _sum: () => {
    let total = 0;
    return {
      add: (key, id, value) => {
        checkSummable(value);
        total = add(total, value);
      },
      result: () => total
    };
  },
  _stats: () => {
    let total;
    return {
      add: (key, id, value) => { total = total === undefined ? statistics(value) : merge(total, statistics(value)); },
      result: () => total
    };
  },
  _approx_count_distinct: () => {
    const keys = new Set();
    return { add: key => keys.add(JSON.stringify(key)), result: () => keys.size };
  }
};

// The accumulator factory for a view's `reduce`.
function reducer(source, evaluate) {
  const name = source.trim();
  if (Object.hasOwn(BUILT_IN, name)) {
    return BUILT_IN[name];
  }
  if (name.startsWith('_')) {
    throw new ReduceError(`Unknown built-in reduce function: ${name}`);
  }
  const reduce = evaluate(source);
  return () => {
    const keys = [];
    const values = [];
    return {
      add: (key, id, value) => {
        keys.push([key, id]);
        values.push(value);
      },
      result: () => {
        const value = reduce(keys, values, false);
        return value === undefined ? null : value;
      }
    };
  };
}

module.exports = { BUILT_IN, ReduceError, reducer };
