'use strict';

// A search as the server runs it (shim/read/search), with the same list functions: the same rows in the same order.

const levels = require('tables/levels');
const limits = require('tables/limits');
const runtime = require('logic/runtime');
const { AVAILABLE_SYNTAX, Query, TRANSFER_SYNTAX, parse } = require('logic/query');
const { isWild } = require('logic/values');
const { sourceOf } = require('logic/source');

const [STUDY_UID, SERIES_UID, SOP_UID, STUDY_DATE, PATIENT_ID] = ['0020000D', '0020000E', '00080018', '00080020', '00100020'];
const ALL = 1e9;
const MAXIMUM = 1000;
const LONGEST_KEY = 64;
const PLACES = ['studies', 'series', 'instances'];

const uidOf = (row, place = 0) => row.id.split(':')[place];
const seriesOf = row => row.id.split(':').slice(0, 2).join(':');
const unique = some => [...new Set(some)];
const isEmpty = some => Object.keys(some).length === 0;
const oneValue = (tag, uids) => ({ [tag]: { vr: 'UI', values: uids } });

// The part of an index that has all studies that a search finds; the list function matches.
function rangeOf(query) {
  const uids = unique(query.values(STUDY_UID));
  if (uids.length) {
    return ['studies_by_uid', { keys: uids }];
  }
  const [id, ...ids] = query.values(PATIENT_ID);
  const exact = id && !ids.length && !isWild(id) && id.length <= LONGEST_KEY ? id.replace(/^ +| +$/g, '') : '';
  if (exact) {
    return ['studies_by_patient_id', { startkey: [exact, limits.highest], endkey: [exact], descending: true }];
  }
  const [date, ...dates] = query.values(STUDY_DATE);
  const [low, high] = date && !dates.length ? dateSpan(date) : ['', limits.highest];
  return ['studies_by_date', { startkey: [high < low ? low : high, limits.highest], endkey: [low], descending: true }];
}

function dateSpan(value) {
  const [low, high] = value.trim().replace(/\./g, '').split(/-([^]*)/);
  // A study without a date has the key "" and is in no range.
  return high === undefined ? [low, low] : [low || '0', high || '9'];
}

// Whether an instance search asks for more than index rows carry.
function needsDocument(query) {
  const own = new Set([...levels.instance, AVAILABLE_SYNTAX, TRANSFER_SYNTAX]);
  const asked = query.fields('instance').include;
  return asked === 'all' || Object.keys(asked).some(tag => !own.has(tag));
}

class Search {
  constructor(source, base) {
    Object.assign(this, { source, base, counted: {} });
  }

  // [series, instances, bytes] of studies and series, by document id.
  async count(ids) {
    const missing = unique(ids).filter(id => !this.counted[id]);
    missing.forEach(id => {
      this.counted[id] = [0, 0, 0];
    });
    for (const { key, value } of missing.length ? await this.source.rows('counts', { keys: missing }) : []) {
      this.counted[key] = this.counted[key].map((number, at) => number + value[at]);
    }
  }

  // The studies that match, newest first. known: the one study of the path.
  async studiesOf(query, known, page = { offset: 0, limit: ALL }) {
    const above = new Query(query.level, ALL);
    above.keys = query.ofLevel('study');
    const fields = query.fields('study', known !== null);
    if (known !== null) {
      if (isEmpty(above.keys) && isEmpty(fields.include)) {
        return { rows: [{ id: `${known}:study`, dataset: {} }], matched: 1 };
      }
      Object.assign(above.keys, oneValue(STUDY_UID, [known]));
    }
    const rows = await this.source.rows(...rangeOf(above));
    return runtime.list('studies', rows, { match: above.keys, fields, sort: true, ...page });
  }

  async studies(query) {
    return this.complete(query, async (offset, limit) => {
      const { rows, matched } = await this.studiesOf(query, null, { offset, limit });
      return { entries: rows.map(row => ({ row })), matched };
    });
  }

  async series(query, study) {
    if (query.values(SERIES_UID).length && study === null) {
      const entries = await this.seriesByUid(query);
      return this.complete(query, async (offset, limit) => (
        { entries: entries.slice(offset, offset + limit), matched: entries.length }));
    }
    const { rows: studies } = await this.studiesOf(query, study);
    const above = Object.fromEntries(studies.map(row => [uidOf(row), row]));
    const among = Object.keys(above).length ? studies.map(row => uidOf(row)) : [];
    const rows = await this.source.rows('series_by_study', { keys: among });
    return this.complete(query, async (offset, limit) => {
      const page = { match: query.ofLevel('series'), fields: query.fields('series'), sort: true, among, offset, limit };
      const found = runtime.list('series', rows, page);
      return { entries: found.rows.map(row => ({ row, study: above[uidOf(row)] })), matched: found.matched };
    });
  }

  async seriesByUid(query) {
    const rows = await this.source.rows('series_by_uid', { keys: unique(query.values(SERIES_UID)) });
    const page = { match: query.ofLevel('series'), fields: query.fields('series'), sort: true, offset: 0, limit: ALL };
    return this.underStudies(query, runtime.list('series', rows, page).rows, false);
  }

  // A page without studies and series that have no instance, filled up with the next ones.
  async complete(query, fetch) {
    let found = await fetch(query.offset, query.limit);
    const kept = await this.stored(found.entries);
    let [last, size] = [found, query.limit];
    while (kept.length < query.limit && last.entries.length === size && size) {
      size = query.limit - kept.length;
      last = await fetch(query.offset + found.entries.length, size);
      found = { entries: found.entries.concat(last.entries), matched: last.matched };
      kept.push(...await this.stored(last.entries));
    }
    return { entries: kept, matched: found.matched };
  }

  async stored(entries) {
    await this.count(entries.flatMap(({ row, study }) => [row, study]).filter(row => row && !isEmpty(row.dataset)).map(row => row.id));
    return entries.filter(({ row }) => this.counted[row.id][1]);
  }

  async newestFirst(uids, fields, keys = {}) {
    const match = { ...keys, ...oneValue(STUDY_UID, uids) };
    const rows = await this.source.rows('studies_by_uid', { keys: uids });
    return runtime.list('studies', rows, { match, fields, sort: true, offset: 0, limit: ALL }).rows;
  }

  // Series or instances under those of their studies that match, in order of the studies.
  async underStudies(query, rows, only) {
    const wanted = query.values(STUDY_UID);
    const uids = unique(rows.map(row => uidOf(row))).filter(uid => !wanted.length || wanted.includes(uid));
    const studies = await this.newestFirst(uids, query.fields('study', only), query.ofLevel('study'));
    return studies.flatMap(study => rows.filter(row => uidOf(row) === uidOf(study)).map(row => ({ row, study })));
  }

  async instances(query, study, series) {
    let found;
    if (query.values(SOP_UID).length) {
      found = await this.instancesByUid(query, study, series);
    } else if (study === null && Object.keys(query.keys).length === Object.keys(query.ofLevel('instance')).length &&
        !this.everything(query)) {
      found = await this.scan(query);
    } else {
      found = await this.walk(query, study, series);
    }
    const parents = found.entries.flatMap(entry => [entry.study, entry.series]).filter(row => row && !isEmpty(row.dataset));
    await this.count(parents.map(row => row.id));
    if (query.include === 'all' || Object.keys(query.include).some(tag => levels.beside[tag])) {
      await this.correct(query, found.entries);
    }
    return found;
  }

  // Whether attributes of the study or series decide, or are shown.
  parents(query) {
    return ['study', 'series'].some(level => !isEmpty(query.ofLevel(level)) || !isEmpty(query.fields(level, true).include));
  }

  everything(query) {
    return Object.entries(query.ofLevel('instance')).every(([tag, key]) => key.values && !key.empty && !query.values(tag).length);
  }

  fields(query) {
    return { ...query.fields('instance'), base: this.base };
  }

  instanceList(query, rows, page) {
    return runtime.list('instances', rows, { match: query.ofLevel('instance'), fields: this.fields(query), ...page });
  }

  // Through the series of the studies that match, newest first.
  async walk(query, study, series) {
    const above = Object.assign(new Query(query.level, ALL), query, { keys: { ...query.keys } });
    if (series !== null) {
      Object.assign(above.keys, oneValue(SERIES_UID, [series]));
    }
    const alone = series !== null && !this.parents(query);
    const end = query.offset + query.limit;
    const entries = [];
    let seen = 0;
    const parents = (await this.studiesOf(above, study)).rows;
    const headers = alone ? [] : await this.source.rows('series_by_study', { keys: parents.map(row => uidOf(row)) });
    for (const parent of parents) {
      const uid = uidOf(parent);
      const page = { match: above.ofLevel('series'), fields: above.fields('series', series !== null), sort: true, offset: 0, limit: ALL };
      const below = alone ? [{ id: `${uid}:${series}`, dataset: {} }]
        : runtime.list('series', headers.filter(row => row.key === uid), page).rows;
      const byUid = Object.fromEntries(below.map(row => [uidOf(row, 1), row]));
      const place = series === null ? [uid] : [uid, series];
      const rows = below.length ? await this.source.rows('instances_by_series', {
        startkey: place, endkey: [...place, limits.highest], include_docs: needsDocument(query)
      }) : [];
      const first = Math.max(query.offset - seen, 0);
      const found = this.instanceList(query, rows, {
        sort: true, among: below.map(row => uidOf(row, 1)), offset: first, limit: Math.max(end - seen - first, 0)
      });
      entries.push(...found.rows.map(row => (alone ? { row } : { row, study: parent, series: byUid[uidOf(row, 1)] })));
      seen += found.matched;
      if (seen >= end && query.limitGiven) {
        break;
      }
    }
    return { entries, matched: seen };
  }

  async instancesByUid(query, study, series) {
    const rows = await this.source.rows('instances_by_uid', {
      keys: unique(query.values(SOP_UID)), include_docs: needsDocument(query)
    });
    const place = [study, series, ''].filter(part => part !== null).join(':');
    const listed = this.instanceList(query, rows, { sort: true, offset: 0, limit: ALL }).rows;
    const entries = await this.underParents(query, listed.filter(row => study === null || row.id.startsWith(place)), study, series);
    return { entries: entries.slice(query.offset, query.offset + query.limit), matched: entries.length };
  }

  // Instances everywhere by attributes that no index orders.
  async scan(query) {
    const rows = await this.source.rows('instances_by_uid', { include_docs: needsDocument(query) });
    const listed = this.instanceList(query, rows, { sort: true, offset: 0, limit: ALL }).rows;
    const studies = await this.newestFirst(unique(listed.map(row => uidOf(row))), null);
    const hits = studies.flatMap(study => listed.filter(row => uidOf(row) === uidOf(study)).sort((a, b) => (a.id < b.id ? -1 : 1)));
    const page = hits.slice(query.offset, query.offset + query.limit);
    return { entries: await this.underParents(query, page, null, null), matched: hits.length };
  }

  async underParents(query, rows, study, series) {
    if (study !== null && series !== null && !this.parents(query)) {
      return rows.map(row => ({ row }));
    }
    const headers = await this.source.docs(unique(rows.map(seriesOf)));
    const page = { match: query.ofLevel('series'), fields: query.fields('series', series !== null), sort: true, offset: 0, limit: ALL };
    const above = Object.fromEntries(runtime.list('series', headers, page).rows.map(row => [row.id, row]));
    const some = rows.filter(row => above[seriesOf(row)]);
    const plain = study !== null && isEmpty(query.ofLevel('study')) && isEmpty(query.fields('study', true).include);
    const entries = plain ? some.map(row => ({ row })) : await this.underStudies(query, some, study !== null);
    return entries.map(entry => ({ ...entry, series: above[seriesOf(entry.row)] }));
  }

  // Rows again with what people fixed in them, where they show what is an instance's own.
  async correct(query, entries) {
    const studies = unique(entries.map(({ row }) => uidOf(row)));
    const corrections = {};
    for (const { key, value } of studies.length ? await this.source.rows('corrections_by_study', { keys: studies }) : []) {
      (corrections[key] = corrections[key] || []).push(value);
    }
    const some = entries.filter(({ row }) => corrections[uidOf(row)]);
    const docs = some.length ? await this.source.docs(some.map(({ row }) => row.id)) : [];
    const page = { match: {}, fields: this.fields(query), offset: 0, limit: docs.length, rest: true, corrections };
    const rows = Object.fromEntries(runtime.list('instances', docs, page).rows.map(row => [row.id, row]));
    some.forEach(entry => {
      entry.row = rows[entry.row.id] || entry.row;
    });
  }

  row({ row, study, series }, query) {
    const dataset = {};
    for (const some of [study, series, row].filter(Boolean)) {
      Object.keys(levels.beside).forEach(tag => delete dataset[tag]); // a parent's is some other instance's
      Object.assign(dataset, some.dataset);
      this.addCounts(dataset, some);
    }
    const uids = row.id.replace(/:study$/, '').split(':');
    uids.forEach((uid, at) => {
      dataset[[STUDY_UID, SERIES_UID, SOP_UID][at]] = { vr: 'UI', Value: [uid] };
    });
    dataset['00080056'] = { vr: 'CS', Value: [this.isNowhere(row, dataset) ? 'UNAVAILABLE' : 'ONLINE'] };
    dataset['00081190'] = { vr: 'UR', Value: [this.base + uids.map((uid, at) => `/${PLACES[at]}/${uid}`).join('')] };
    if (query.include[TRANSFER_SYNTAX] && dataset[AVAILABLE_SYNTAX]) {
      dataset[TRANSFER_SYNTAX] = dataset[AVAILABLE_SYNTAX];
    }
    return Object.fromEntries(Object.keys(dataset).sort().map(tag => [tag, dataset[tag]]));
  }

  // Whether only metadata are there of an instance, or of all of a study or series (PS3.3 C.4.23.1.1).
  isNowhere(row, dataset) {
    const counted = this.counted[row.id];
    if (counted) {
      return counted[1] > 0 && !counted[2];
    }
    const { Value: [syntax] = [] } = dataset[AVAILABLE_SYNTAX] || {};
    if (syntax !== '') {
      return false;
    }
    delete dataset[AVAILABLE_SYNTAX]; // nobody knows
    return true;
  }

  addCounts(dataset, row) {
    const [series, instances] = this.counted[row.id] || [];
    if (series === undefined || !row.dataset['00080005']) {
      return; // only what was asked for by name is shown of this parent
    }
    const number = value => ({ vr: 'IS', Value: [value] });
    if (row.id.endsWith(':study')) {
      Object.assign(dataset, { '00201206': number(series), '00201208': number(instances) });
    } else if (row.id.split(':').length === 2) {
      dataset['00201209'] = number(instances);
    }
  }
}

/** What a search comes to: { rows, remaining, ignored }. target: resource and query string. */
async function search(given, target, { base = '', maximum = MAXIMUM } = {}) {
  const { query, study, series } = parse(target, maximum);
  const searching = new Search(sourceOf(given), base);
  let found = { entries: [], matched: 0 };
  // What the path names and a key that says otherwise find nothing.
  const possible = Object.entries({ [STUDY_UID]: study, [SERIES_UID]: series }).every(([tag, uid]) => {
    const key = query.keys[tag];
    const fits = uid === null || !key || (!key.empty && (!query.values(tag).length || query.values(tag).includes(uid)));
    if (uid !== null) {
      delete query.keys[tag];
    }
    return fits;
  });
  if (possible) {
    const run = { study: 'studies', series: 'series', instance: 'instances' }[query.level];
    found = await searching[run](query, study, series);
  }
  return {
    rows: found.entries.map(entry => searching.row(entry, query)),
    remaining: query.limitGiven ? 0 : Math.max(0, found.matched - query.offset - query.limit),
    ignored: query.unknown
  };
}

module.exports = { search };
