'use strict';

// What every route needs: errors that become CouchDB's {error, reason}, JSON in and out, the query as CouchDB reads it.

const express = require('express');

// CouchDB's [couchdb] max_document_size and [chttpd] max_http_request_size.
const MAX_DOCUMENT_SIZE = 8000000;
const MAX_REQUEST_SIZE = 512 * 1024 * 1024;

class HttpError extends Error {
  constructor(status, error, reason) {
    super(reason);
    this.status = status;
    this.error = error;
    this.reason = reason;
  }
}

function sendJSON(res, status, body) {
  res.status(status);
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Cache-Control', 'must-revalidate');
  const text = Buffer.from(JSON.stringify(body) + '\n');
  res.setHeader('Content-Length', text.length);
  res.end(text);
}

function sendError(res, error) {
  if (res.headersSent) {
    // Too late for a status: cut the connection, so that nobody takes half an answer for a whole one.
    res.destroy(error);
    return;
  }
  if (!error.status && !error.reason) {
    process.stderr.write((error.stack || String(error)) + '\n');
  }
  const name = error.error === undefined || error.error === true ? error.name : error.error;
  sendJSON(res, error.status || 500, {
    error: name === 'Error' ? 'unknown_error' : name,
    reason: error.reason || error.message || String(error)
  });
}

// An async handler whose failure becomes an answer: an unhandled rejection would end the process.
function route(handler) {
  return (req, res, next) => {
    Promise.resolve().then(() => handler(req, res, next)).catch(error => sendError(res, error));
  };
}

// The query as plain strings, from the URL itself: express-pouchdb parses req.query as JSON, so `1.2` would become a
// number.
function queryOf(req) {
  const query = {};
  const url = req.originalUrl;
  const mark = url.indexOf('?');
  if (mark >= 0) {
    for (const [name, value] of new URLSearchParams(url.slice(mark + 1))) {
      query[name] = value;
    }
  }
  return query;
}

function parseJSON(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, 'bad_request', 'invalid UTF-8 JSON: ' + error.message);
  }
}

// Reads the body whole, as a Buffer.
function readBody(req, res, limit = MAX_REQUEST_SIZE) {
  if (Buffer.isBuffer(req.body)) {
    return Promise.resolve(req.body);
  }
  return new Promise((resolve, reject) => {
    express.raw({ type: () => true, limit })(req, res, error => {
      if (error) {
        const tooLarge = error.status === 413;
        reject(new HttpError(error.status || 400, tooLarge ? 'too_large' : 'bad_request',
          tooLarge ? 'the request entity is too large' : error.message));
      } else {
        resolve(Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0));
      }
    });
  });
}

async function readObject(req, res) {
  const body = await readBody(req, res);
  const value = parseJSON(body.toString('utf8'));
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new HttpError(400, 'bad_request', 'Request body must be a JSON object');
  }
  return value;
}

module.exports = {
  HttpError, MAX_DOCUMENT_SIZE, MAX_REQUEST_SIZE, parseJSON, queryOf, readBody, readObject, route, sendError, sendJSON
};
