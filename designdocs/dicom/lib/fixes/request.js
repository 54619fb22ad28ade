// The _update function `fix`: JSON from programs and from the shim, a form from the page itself.
var fixes = require('lib/fixes/fixes');
var html = require('lib/pages/html');
var summary = require('lib/headers/summary');

var MODALITY = '00080060';

function header(req, name) {
  var found = '';
  Object.keys(req.headers || {}).forEach(function (key) {
    if (key.toLowerCase() === name) {
      found = String(req.headers[key]);
    }
  });
  return found;
}

// Any page can send a form with this browser's credentials: only a form of our own page counts.
function isOurs(req) {
  var origin = header(req, 'origin');
  return !origin || origin.replace(/^https?:\/\//, '') === header(req, 'host');
}

function answer(code, body) {
  return { code: code, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
}

var NAMES = { 400: 'bad_request', 403: 'forbidden', 404: 'not_found', 409: 'conflict', 415: 'unsupported_media_type' };

function refusal(isForm, status, reason) {
  if (!isForm) {
    return [null, answer(status, { error: NAMES[status], reason: reason })];
  }
  return [null, {
    code: status,
    headers: { 'Content-Type': 'text/html; charset=utf-8' },
    body: html.page('Not saved', '<p role="alert">' + html.escape(reason) + '</p><p>Go back and try again.</p>')
  }];
}

// The fields of a form as a request: the chosen value is an attribute in JSON, or "other" for the typed one.
exports.fromForm = function (form) {
  var input = { tag: form.tag, by: form.by, seen: form.seen };
  if (form.action === 'undo') {
    input.undo = true;
  } else if (form.choice === 'other') {
    input.value = form.other || '';
  } else {
    try {
      input.value = JSON.parse(form.choice);
    } catch (problem) {
      input.value = undefined;
    }
  }
  return input;
};

exports.update = function (doc, req) {
  var type = header(req, 'content-type');
  var isForm = /^application\/x-www-form-urlencoded/i.test(type);
  var input;
  if (!isOurs(req)) {
    return refusal(isForm, 403, 'the request comes from a page of another site');
  }
  if (!isForm && !/^application\/json/i.test(type)) {
    return refusal(false, 415, 'the body must be application/json');
  }
  try {
    input = isForm ? exports.fromForm(req.form || {}) : JSON.parse(req.body);
  } catch (problem) {
    return refusal(isForm, 400, 'the body is no JSON');
  }
  if (input === null || typeof input !== 'object' || Array.isArray(input)) {
    return refusal(isForm, 400, 'the body must be a JSON object');
  }
  if (input.form) {
    var rest = input;
    input = exports.fromForm(rest.form);
    ['tag', 'by', 'id', 'patient', 'only'].forEach(function (name) {
      input[name] = rest[name];
    });
  }
  var user = req.userCtx && req.userCtx.name;
  input.user = user || null;
  input.by = typeof input.by === 'string' ? input.by.replace(/^\s+|\s+$/g, '') || user : input.by || user;
  input.id = typeof input.id === 'string' && /^[0-9a-f-]{8,64}$/.test(input.id) ? input.id : req.uuid;
  if (isForm && input.tag === MODALITY) {
    return refusal(true, 400, 'Modality is also kept at the study: correct it through the DICOMweb server');
  }
  var result = fixes.apply(doc, input, new Date().toISOString());
  if (result.refused) {
    return refusal(isForm, result.refused.status, result.refused.reason);
  }
  if (isForm) {
    return [result.header, {
      code: 303,
      headers: { Location: '../../_list/conflict/_all_docs?' + html.studyRange(doc._id.split(':')[0]) },
      body: ''
    }];
  }
  var now = result.header || doc;
  return [result.header, answer(200, {
    changed: !!result.header,
    id: input.id,
    fix: now.fixes && now.fixes[input.tag] ? now.fixes[input.tag] : null,
    modality: doc.type === 'series' && input.tag === MODALITY ? summary.text(now.dataset, MODALITY) : null
  })];
};
