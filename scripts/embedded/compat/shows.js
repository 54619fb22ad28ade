'use strict';

// `_show` and `_update` functions.

const crypto = require('crypto');
const { HttpError, route } = require('./http');
const { freeze, thrown } = require('./javascript');
const { Provider } = require('./provides');
const { requestObject } = require('./request-object');
const { respond } = require('./respond');
const { write } = require('./write');

async function find(req, id) {
  if (id === undefined) {
    return null;
  }
  return req.db.get(id).catch(error => {
    if (error.status === 404) {
      return null;
    }
    throw error;
  });
}

// Everything after the function's name, so that an id may hold slashes.
function idOf(req) {
  return req.params[0] ? req.params[0] : undefined;
}

function install(router, { designs }) {
  const show = route(async (req, res) => {
    const id = idOf(req);
    const design = await designs.get(req.couchLocation, req.params.design);
    const { run, limited, api } = design.function('shows', req.params.name);
    const doc = await find(req, id);
    const etag = '"' + crypto.createHash('md5').update(JSON.stringify([
      design.doc._rev, doc && doc._rev, req.get('Accept'), req.originalUrl, req.couchSession.userCtx
    ])).digest('base64').replace(/=+$/, '') + '"';
    if (req.get('If-None-Match') === etag) {
      res.setHeader('ETag', etag);
      res.status(304).end();
      return;
    }
    const provider = new Provider(req);
    Object.assign(api, provider.api());
    const request = await requestObject(req, res, id);
    let answer;
    let contentType;
    try {
      answer = run(doc && freeze(doc), request);
      if (provider.used) {
        let make;
        [make, contentType] = provider.choose();
        answer = limited(() => make.call(design.doc));
      }
    } catch (error) {
      throw thrown(error);
    }
    respond(res, answer, { contentType, headers: { ETag: etag } });
  });

  const update = route(async (req, res) => {
    if (!['PUT', 'POST'].includes(req.method)) {
      throw new HttpError(405, 'method_not_allowed', 'Update functions must be called with PUT or POST');
    }
    const id = idOf(req);
    const design = await designs.get(req.couchLocation, req.params.design);
    const { run } = design.function('updates', req.params.name);
    const request = await requestObject(req, res, id);
    const doc = await find(req, id);
    let result;
    try {
      result = run(doc, request);
    } catch (error) {
      throw thrown(error);
    }
    if (!Array.isArray(result)) {
      throw new HttpError(500, 'invalid_update', 'An update function must return [document, response]');
    }
    const [changed, answer] = result;
    if (changed === null || changed === undefined) {
      respond(res, answer);
      return;
    }
    if (!changed._id) {
      throw new HttpError(400, 'bad_request', 'Document id must not be empty');
    }
    // Through JSON: what the function made is of another realm, and may hold what JSON does not.
    const { rev } = await write(req, JSON.parse(JSON.stringify(changed)));
    respond(res, answer, { code: 201, headers: { 'X-Couch-Id': changed._id, 'X-Couch-Update-NewRev': rev } });
  });

  router.all('/:db/_design/:design/_show/:name', show);
  router.all('/:db/_design/:design/_show/:name/*', show);
  router.all('/:db/_design/:design/_update/:name', update);
  router.all('/:db/_design/:design/_update/:name/*', update);
}

module.exports = { install };
