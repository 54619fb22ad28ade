'use strict';

// The options of a view query or of `_all_docs`, from the URL's query and a POSTed body, with CouchDB's checks.

const { HttpError, parseJSON } = require('./http');

const JSON_OPTIONS = {
  key: 'key', keys: 'keys', startkey: 'startkey', start_key: 'startkey', endkey: 'endkey', end_key: 'endkey'
};
const STRINGS = {
  startkey_docid: 'startkey_docid', start_key_doc_id: 'startkey_docid',
  endkey_docid: 'endkey_docid', end_key_doc_id: 'endkey_docid'
};
const INTEGERS = ['limit', 'skip', 'group_level'];
const BOOLEANS = [
  'descending', 'group', 'reduce', 'include_docs', 'inclusive_end', 'conflicts', 'attachments', 'update_seq'
];

function parseError(reason) {
  return new HttpError(400, 'query_parse_error', reason);
}

function integer(name, value) {
  const number = Number(value);
  if (!Number.isInteger(number) || String(value).trim() === '') {
    throw parseError(`Invalid value for integer: "${value}"`);
  }
  if (number < 0) {
    throw parseError(`Invalid value for positive integer: "${value}"`);
  }
  return number;
}

function boolean(name, value) {
  const text = String(value).toLowerCase();
  if (text !== 'true' && text !== 'false') {
    throw parseError(`Invalid boolean parameter: "${value}"`);
  }
  return text === 'true';
}

// `query` holds strings, `body` JSON values; an option in the body wins.
function queryOptions(query, body) {
  const options = {};
  for (const [source, decode] of [[query, parseJSON], [body || {}, value => value]]) {
    for (const [name, value] of Object.entries(source)) {
      if (Object.hasOwn(JSON_OPTIONS, name)) {
        options[JSON_OPTIONS[name]] = decode(value);
      } else if (Object.hasOwn(STRINGS, name)) {
        options[STRINGS[name]] = String(value);
      } else if (INTEGERS.includes(name)) {
        options[name] = integer(name, value);
      } else if (BOOLEANS.includes(name)) {
        options[name] = boolean(name, value);
      } else if (name === 'update') {
        options.update = value === 'lazy' ? 'lazy' : boolean(name, value);
      } else if (name === 'stale') {
        options.update = value === 'ok' ? false : 'lazy';
      }
    }
  }
  if (options.keys !== undefined && !Array.isArray(options.keys)) {
    throw parseError('`keys` parameter must be an array.');
  }
  if (options.keys && (options.startkey !== undefined || options.endkey !== undefined || options.key !== undefined)) {
    throw parseError('`keys` is incompatible with `key`, `start_key` and `end_key`');
  }
  return options;
}

// Whether the query reduces; the checks depend on the view.
function reduces(options, view) {
  const grouped = options.group || options.group_level !== undefined;
  const reduced = Boolean(view.reduce) && options.reduce !== false;
  if (!view.reduce && options.reduce === true) {
    throw parseError('Reduce is invalid for map-only views.');
  }
  if (grouped && !reduced) {
    throw parseError('Invalid use of grouping on a map view.');
  }
  if (reduced && options.include_docs) {
    throw parseError('`include_docs` is invalid for reduce');
  }
  if (reduced && options.keys && options.keys.length > 1 && !options.group) {
    throw parseError('Multi-key fetches for reduce views must use `group=true`');
  }
  return reduced;
}

module.exports = { queryOptions, reduces };
