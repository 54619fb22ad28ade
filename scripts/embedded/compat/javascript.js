'use strict';

// Evaluates the functions of a design document in a realm of their own (no `process`, no node `require`), with
// CouchDB's CommonJS: absolute and relative paths inside the design document, each module evaluated once.

const vm = require('vm');
const { HttpError } = require('./http');

// What CouchDB's query servers offer everywhere.
const HELPERS = `(function (global) {
  global.isArray = Array.isArray;
  global.toJSON = function (value) { return value === undefined ? 'null' : JSON.stringify(value); };
  global.sum = function (values) {
    var total = 0;
    for (var i = 0; i < values.length; i++) {
      total += values[i];
    }
    return total;
  };
})(this)`;

const STATUS = {
  bad_request: 400, query_parse_error: 400, unauthorized: 401, forbidden: 403, not_found: 404,
  method_not_allowed: 405, conflict: 409, file_exists: 412
};

// CouchDB's os_process_timeout: a function that runs longer is stopped.
const TIME_LIMIT = Number(process.env.EMBEDDED_TIME_LIMIT) || 5000;
const CALL = new vm.Script('__call()');

class Sandbox {
  // `root` is what require() sees; `api` are extra globals, for example `emit`.
  constructor(name, root, api) {
    this.name = name;
    this.root = root;
    this.modules = new Map();
    this.context = vm.createContext(Object.assign({
      log: message => {
        process.stderr.write(`${name}: ${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
      },
      require: path => this.require(path, [])
    }, api));
    vm.runInContext(HELPERS, this.context);
    Object.defineProperty(this.context, '__call', { value: () => this.task(), enumerable: false });
  }

  // Runs `task`, which calls functions of this sandbox, under the time limit.
  limited(task) {
    this.task = task;
    try {
      return CALL.runInContext(this.context, { timeout: TIME_LIMIT });
    } catch (error) {
      throw timedOut(error)
        ? new HttpError(500, 'timeout', `A function of ${this.name} ran longer than ${TIME_LIMIT / 1000} s`) : error;
    }
  }

  // The function that `source` is. `field` names it in errors and stack traces.
  evaluate(source, field) {
    let result;
    try {
      result = vm.runInContext('(' + String(source).trim().replace(/;+$/, '') + '\n)', this.context,
        { filename: `${this.name}/${field}` });
    } catch (error) {
      throw compilationError(`${field} in ${this.name} does not compile: ${error && error.message || error}`);
    }
    if (typeof result !== 'function') {
      throw compilationError(`Expression does not eval to a function. (${field} in ${this.name})`);
    }
    return result;
  }

  require(path, base) {
    const parts = /^\.\.?\//.test(path) ? base.slice(0, -1) : [];
    for (const part of String(path).split('/')) {
      if (part === '..') {
        parts.pop();
      } else if (part !== '.' && part !== '') {
        parts.push(part);
      }
    }
    const id = parts.join('/');
    if (this.modules.has(id)) {
      return this.modules.get(id).exports;
    }
    let source = this.root;
    for (const part of parts) {
      source = source !== null && typeof source === 'object' && Object.hasOwn(source, part) ? source[part] : undefined;
    }
    if (typeof source !== 'string') {
      throw new HttpError(500, 'invalid_require_path', `Must require a module of the design document: ${id}`);
    }
    const module = vm.runInContext('({exports: {}})', this.context);
    module.id = id;
    this.modules.set(id, module);
    try {
      const run = vm.runInContext(`(function (module, exports, require) {${source}\n})`, this.context,
        { filename: `${this.name}/${id}` });
      run.call(module, module, module.exports, next => this.require(next, parts));
    } catch (error) {
      this.modules.delete(id);
      if (error instanceof HttpError) {
        throw error;
      }
      throw compilationError(`Module require('${id}') raised error: ${error && error.message || error}`);
    }
    return module.exports;
  }
}

function compilationError(reason) {
  return new HttpError(400, 'compilation_error', reason);
}

function timedOut(error) {
  return Boolean(error) && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}

// What a function threw, as the answer CouchDB gives for it.
function thrown(error) {
  if (error instanceof HttpError) {
    return error;
  }
  if (Array.isArray(error) && (error[0] === 'error' || error[0] === 'fatal')) {
    return new HttpError(STATUS[error[1]] || 500, String(error[1]), String(error[2]));
  }
  if (error !== null && typeof error === 'object') {
    for (const name of ['forbidden', 'unauthorized']) {
      if (error[name] !== undefined) {
        const reason = error[name];
        return new HttpError(STATUS[name], name, typeof reason === 'string' ? reason : JSON.stringify(reason));
      }
    }
    if (typeof error.error === 'string' && error.reason !== undefined) {
      return new HttpError(STATUS[error.error] || 500, error.error, String(error.reason));
    }
    return new HttpError(500, error.name || 'unknown_error', error.message || JSON.stringify(error));
  }
  return new HttpError(500, 'unknown_error', String(error));
}

// A document that a function may read and not change, as in CouchDB, where one view never sees another one's changes.
function freeze(value) {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  }
  return value;
}

module.exports = { Sandbox, TIME_LIMIT, freeze, thrown };
