'use strict';

// Keys of view rows as bytes that sort the way the keys do.
//
// `collation: raw` is CouchDB's Erlang order: numbers, false, null, true, objects, arrays, strings by their UTF-8
// bytes. The default order is null, false, true, numbers, strings, arrays, objects. CouchDB compares its strings with
// ICU, which has no counterpart among node's sort keys: here they compare by bytes, which is the reason why every view
// should say `raw`.

const RAW = { number: 0x10, false: 0x20, null: 0x21, true: 0x22, object: 0x30, array: 0x40, string: 0x50 };
const DEFAULT = { null: 0x10, false: 0x11, true: 0x12, number: 0x20, string: 0x30, array: 0x40, object: 0x50 };
const END = Buffer.from([0x00]);
const STRING_END = Buffer.from([0x00, 0x01]);
const ESCAPED_ZERO = Buffer.from([0x00, 0xff]);
// Greater than every byte that can follow a key: a document id is UTF-8, which has no 0xFF.
const AFTER = Buffer.from([0xff]);

function number(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value === 0 ? 0 : value);
  if (bytes[0] & 0x80) {
    for (let i = 0; i < 8; i++) {
      bytes[i] = ~bytes[i];
    }
  } else {
    bytes[0] |= 0x80;
  }
  return bytes;
}

function text(value, parts) {
  const bytes = Buffer.from(value, 'utf8');
  let from = 0;
  for (let zero = bytes.indexOf(0); zero >= 0; zero = bytes.indexOf(0, from)) {
    parts.push(bytes.subarray(from, zero), ESCAPED_ZERO);
    from = zero + 1;
  }
  parts.push(bytes.subarray(from), STRING_END);
}

function append(key, tags, parts) {
  if (key === null || key === undefined || typeof key === 'boolean') {
    parts.push(Buffer.from([tags[String(key === undefined ? null : key)]]));
  } else if (typeof key === 'number') {
    parts.push(Buffer.from([tags.number]), number(key));
  } else if (typeof key === 'string') {
    parts.push(Buffer.from([tags.string]));
    text(key, parts);
  } else if (Array.isArray(key)) {
    parts.push(Buffer.from([tags.array]));
    key.forEach(item => append(item, tags, parts));
    parts.push(END);
  } else {
    parts.push(Buffer.from([tags.object]));
    for (const name of Object.keys(key)) {
      append(name, tags, parts);
      append(key[name], tags, parts);
    }
    parts.push(END);
  }
}

// The bytes of one key. No key's bytes are the beginning of another's.
function encodeKey(key, raw) {
  const parts = [];
  append(key, raw ? RAW : DEFAULT, parts);
  return Buffer.concat(parts);
}

module.exports = { AFTER, encodeKey };
