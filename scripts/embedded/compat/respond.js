'use strict';

// Sends what a show, a list or an update function answered: a string, or {code, headers, body | json | base64}.

const { HttpError } = require('./http');

const FIELDS = ['code', 'headers', 'body', 'json', 'base64', 'stop'];

function complete(answer) {
  const response = typeof answer === 'string' ? { body: answer } : answer;
  if (response === null || response === undefined) {
    return {};
  }
  if (typeof response !== 'object') {
    throw new HttpError(500, 'external_response_error', `Invalid data from external server: ${String(response)}`);
  }
  const unknown = Object.keys(response).find(name => !FIELDS.includes(name));
  if (unknown !== undefined) {
    throw new HttpError(500, 'external_response_error', `Invalid data from external server: ${unknown}`);
  }
  return response;
}

function respond(res, answer, { code = 200, contentType, headers = {} } = {}) {
  const response = complete(answer);
  let body = Buffer.from(response.body === undefined ? '' : String(response.body));
  let type = contentType || 'text/html; charset=utf-8';
  if (response.json !== undefined) {
    body = Buffer.from(JSON.stringify(response.json));
    type = contentType || 'application/json';
  } else if (response.base64 !== undefined) {
    body = Buffer.from(response.base64, 'base64');
    type = contentType || 'application/binary';
  }
  res.status(response.code || code);
  res.setHeader('Content-Type', type);
  res.setHeader('Vary', 'Accept');
  for (const [name, value] of Object.entries(Object.assign({}, headers, response.headers))) {
    res.setHeader(name, value);
  }
  res.setHeader('Content-Length', body.length);
  res.end(body);
}

module.exports = { complete, respond };
