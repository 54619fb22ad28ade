'use strict';

// What dcmjs reads of a Part 10 file, as the DICOM JSON Model (PS3.18 F.2) that the server makes of it, and the document of an
// instance (docs/documents.md). dcmjs keeps values as JavaScript has them: bytes as buffers, names as texts or objects, tags
// and 64-bit integers as numbers, and what is empty as a text without characters.

const rebuild = require('lib/headers/rebuild');
const { vrOf } = require('logic/values');

const BINARY = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
const TEXTS = new Set(['LT', 'ST', 'UR', 'UT']);
const NUMBERS = new Set(['DS', 'FD', 'FL', 'IS', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']);
const GROUPS = ['Alphabetic', 'Ideographic', 'Phonetic'];
// What the server leaves in the file (shim/dicom/part10/attributes.py).
const ALWAYS_BULK = new Set(['7FE00008', '7FE00009', '7FE00010', '00420011']);
const TABLES = /^0028(3006|12(0[0-4]|1[1-4]))$/;
const DESCRIPTORS = new Set(['00281101', '00281102', '00281103', '00283002']);
const CREATOR = /^[0-9A-F]{3}[13579BDF]00[1-9A-F]/;
const LONGEST_BINARY = 1024;
const LONGEST = 64 * 1024;
const WIDTHS = { FD: 8, FL: 4, SL: 4, SS: 2, SV: 8, UL: 4, US: 2, UV: 8 };
const WORDS = { OD: 8, OF: 4, OL: 4, OV: 8, OW: 2 };
const IMPLICIT = '1.2.840.10008.1.2';
const BIG_ENDIAN = '1.2.840.10008.1.2.2';
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

const nothing = value => value === null || value === undefined || value === '';

function bytesOf(value) {
  if (value instanceof ArrayBuffer) {
    return new Uint8Array(value);
  }
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : null;
}

// PS3.18 F.2.7: little endian.
function swapped(bytes, width) {
  return bytes.map((byte, at) => bytes[at - at % width + width - 1 - at % width]);
}

function base64(bytes) {
  let text = '';
  bytes.forEach(byte => {
    text += String.fromCharCode(byte);
  });
  return btoa(text);
}

function personName(value) {
  const groups = typeof value === 'string' ? value.split('=') : GROUPS.map(group => value[group]);
  const pairs = GROUPS.map((group, at) => [group, String(groups[at] || '').replace(/^[ \0]+|[ \0]+$/g, '')]);
  const found = Object.fromEntries(pairs.filter(([, text]) => text));
  return Object.keys(found).length ? found : null;
}

// raw: the text of a DS or IS in the file.
function number(value, raw) {
  const text = typeof raw === 'string' ? raw.replace(/^[ \0]+|[ \0]+$/g, '') : '';
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  }
  if (typeof raw === 'string' && !DECIMAL.test(text)) {
    return text || null;
  }
  const found = typeof raw === 'string' ? Number(text) : Number(value);
  return Number.isFinite(found) ? found : text || String(found);
}

function tagText(value) {
  return (typeof value === 'number' ? value.toString(16).padStart(8, '0') : String(value).replace(/[(),]/g, '')).toUpperCase();
}

function text(vr, value) {
  return String(value).replace(vr === 'AE' || vr === 'CS' ? /^[ \0]+|[ \0]+$/g : /[ \0]+$/, '') || null;
}

// What the data dictionary has as US or SS, and an implicit file does not tell: Pixel Representation says it.
function isSigned(tag, vr, file) {
  return vr === 'US' && file.implicit && file.signed && vrOf(tag) === 'UN' && !TABLES.test(tag) && parseInt(tag.slice(3, 4), 16) % 2 === 0;
}

function valuesOf(tag, vr, values, raws) {
  if (vr === 'PN') {
    return values.map(value => (nothing(value) ? null : personName(value)));
  }
  if (NUMBERS.has(vr)) {
    const strings = vr === 'DS' || vr === 'IS';
    const found = (strings && raws.length ? raws : values).map((value, at) => (
      nothing(value) ? null : number(values[at], strings && raws.length ? String(value) : undefined)));
    if (DESCRIPTORS.has(tag) && vr === 'SS' && found[0] < 0) {
      found[0] += 0x10000; // PS3.3 C.11.1.1.1
    }
    return found;
  }
  if (vr === 'AT') {
    return values.map(tagText);
  }
  return values.map(value => (nothing(value) ? null : text(vr, value)));
}

function binary(tag, vr, values, path, file) {
  const parts = values.map(bytesOf);
  const bulk = { vr, BulkDataURI: `bulkdata/${path}` };
  if (ALWAYS_BULK.has(tag) || parts.length > 1 || !parts[0] || parts[0].length > LONGEST_BINARY) {
    return bulk;
  }
  const bytes = file.big && WORDS[vr] ? swapped(parts[0], WORDS[vr]) : parts[0];
  return bytes.length ? { vr, InlineBinary: base64(bytes) } : { vr };
}

function attribute(tag, { vr, Value, _rawValue }, path, file) {
  const values = Array.isArray(Value) ? Value : nothing(Value) ? [] : [Value];
  const raws = Array.isArray(_rawValue) ? _rawValue : nothing(_rawValue) ? [] : [_rawValue];
  if (vr === 'SQ') {
    const items = values.map((item, at) => dataset(item || {}, file, `${path}/${at}/`));
    return items.length ? { vr, Value: items } : { vr };
  }
  if (vr === 'UN' && CREATOR.test(tag) && values.length === 1 && bytesOf(values[0])) {
    // A Private Creator is LO (PS3.5 7.8.1).
    return { vr: 'LO', Value: [text('LO', String.fromCharCode(...bytesOf(values[0])))] };
  }
  if (BINARY.has(vr) || ALWAYS_BULK.has(tag)) {
    return values.length && !values.every(nothing) ? binary(tag, vr, values, path, file) : { vr };
  }
  if (!values.length || (values.length === 1 && nothing(values[0]))) {
    return { vr };
  }
  const length = WIDTHS[vr] ? WIDTHS[vr] * values.length : raws.join('\\').length;
  if (length > (TABLES.test(tag) ? LONGEST_BINARY : LONGEST)) {
    return { vr, BulkDataURI: `bulkdata/${path}` };
  }
  if (isSigned(tag, vr, file)) {
    return { vr: 'SS', Value: valuesOf(tag, 'SS', values.map(value => (value > 0x7fff ? value - 0x10000 : value)), raws) };
  }
  // dcmjs takes more than the padding off the end of a text.
  const texts = raws.length && raws.every(raw => typeof raw === 'string') ? raws : values;
  const found = valuesOf(tag, vr, TEXTS.has(vr) ? [texts.join('\\')] : values, raws);
  return found.length === 1 && found[0] === null ? { vr } : { vr, Value: found };
}

function dataset(dict, file, path = '') {
  const tags = Object.keys(dict).filter(tag => /^[0-9A-Fa-f]{8}$/.test(tag) && !/^(0000|0002|FFFC)|0000$/i.test(tag)).sort();
  return Object.fromEntries(tags.map(tag => [tag.toUpperCase(), attribute(tag.toUpperCase(), dict[tag], path + tag.toUpperCase(), file)]));
}

function syntaxOf({ meta }) {
  const { Value: [syntax] = [] } = (meta && meta['00020010']) || {};
  return syntax || IMPLICIT;
}

/** The DICOM JSON Model of what `dcmjs.data.DicomMessage.readFile` gave. */
function fromDcmjs(read) {
  const syntax = syntaxOf(read);
  const { Value: [representation] = [] } = read.dict['00280103'] || {};
  return dataset(read.dict, { implicit: syntax === IMPLICIT, big: syntax === BIG_ENDIAN, signed: representation === 1 });
}

function first(attributes, tag) {
  return attributes && attributes[tag] && attributes[tag].Value ? String(attributes[tag].Value[0]) : '';
}

/** The document of an instance that is in no archive: its data set, and where its bytes are not. */
function instanceDocument(attributes, { transferSyntax = '1.2.840.10008.1.2', size = 0 } = {}) {
  const uids = ['0020000D', '0020000E', '00080018'].map(tag => first(attributes, tag));
  if (!uids.every(Boolean)) {
    throw new Error('the data set does not say which study, series and instance it is of');
  }
  return { _id: uids.join(':'), type: 'instance', summary: '', dataset: attributes, file: { store: 'none', size, transferSyntax } };
}

/** The headers that studies and series get from their instances, as the server makes them: those that differ from `documents`. */
function headersOf(documents) {
  const rebuilder = rebuild.rebuilder();
  documents.forEach(rebuilder.add);
  return rebuilder.changes();
}

/** Parses files with dcmjs and puts their documents, and their headers, into a PouchDB: { added, failed }, names of files. */
async function addFiles(db, files, dcmjs) {
  const fresh = new Map();
  const [added, failed] = [[], []];
  for (const file of files) {
    try {
      const read = dcmjs.data.DicomMessage.readFile(await file.arrayBuffer(), { ignoreErrors: true });
      const doc = instanceDocument(fromDcmjs(read), { transferSyntax: syntaxOf(read), size: file.size });
      fresh.set(doc._id, doc);
      added.push(file.name);
    } catch (problem) {
      failed.push(file.name);
    }
  }
  for (const study of new Set([...fresh.keys()].map(id => id.split(':')[0]))) {
    const range = { startkey: `${study}:`, endkey: `${study}:\ufff0`, include_docs: true };
    const stored = (await db.allDocs(range)).rows.map(row => row.doc);
    const known = new Set(stored.map(doc => doc._id));
    const own = [...fresh.values()].filter(doc => doc._id.startsWith(`${study}:`) && !known.has(doc._id));
    const refused = (await db.bulkDocs([...own, ...headersOf([...stored, ...own])])).filter(one => one.error);
    if (refused.length) {
      throw refused[0];
    }
  }
  return { added, failed };
}

module.exports = { addFiles, fromDcmjs, headersOf, instanceDocument };
