'use strict';

// What the package offers; index.d.ts describes it.

const headers = require('lib/headers/merge');
const dcmjs = require('logic/dcmjs');
const runtime = require('logic/runtime');
const values = require('logic/values');
const { lists, maps } = require('registry');

module.exports = {
  search: require('logic/search').search,
  parse: require('logic/query').parse,
  QueryError: values.QueryError,
  match: require('lib/match/match'),
  fuzzy: require('lib/match/fuzzy'),
  fields: require('lib/search/fields'),
  metadata: require('lib/metadata/metadata'),
  modified: require('lib/metadata/modified'),
  normalise: require('views/lib/normalise'),
  sound: require('views/lib/sound'),
  names: require('views/lib/names'),
  headers: { merge: headers.merge, of: dcmjs.headersOf },
  views: Object.fromEntries(Object.keys(maps).map(name => [name, doc => runtime.map(name, doc)])),
  lists: Object.fromEntries(Object.keys(lists).map(name => [name, (rows, query) => runtime.list(name, rows, query)])),
  designDocument: runtime.designDocument,
  Documents: require('logic/source').Documents,
  Pouch: require('logic/source').Pouch,
  fromDcmjs: dcmjs.fromDcmjs,
  instanceDocument: dcmjs.instanceDocument,
  addFiles: dcmjs.addFiles,
  tagOf: values.tagOf,
  vrOf: values.vrOf,
  load: require
};
