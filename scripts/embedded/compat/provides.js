'use strict';

// provides() and registerType() of shows and lists, with the client's `Accept` honoured to the q-value.

const { HttpError } = require('./http');

const TYPES = {
  all: ['*/*'],
  text: ['text/plain; charset=utf-8', 'txt'],
  html: ['text/html; charset=utf-8'],
  xhtml: ['application/xhtml+xml', 'xhtml'],
  xml: ['application/xml', 'text/xml', 'application/x-xml'],
  js: ['text/javascript', 'application/javascript', 'application/x-javascript'],
  css: ['text/css'],
  ics: ['text/calendar'],
  csv: ['text/csv'],
  rss: ['application/rss+xml'],
  atom: ['application/atom+xml'],
  yaml: ['application/x-yaml', 'text/yaml'],
  multipart_form: ['multipart/form-data'],
  url_encoded_form: ['application/x-www-form-urlencoded'],
  json: ['application/json', 'text/x-json']
};

class Provider {
  constructor(req) {
    this.req = req;
    this.types = Object.assign({}, TYPES);
    this.given = new Map();
  }

  // What the function sees.
  api() {
    return {
      registerType: (name, ...types) => { this.types[name] = types; },
      provides: (name, make) => { this.given.set(name, make); }
    };
  }

  get used() {
    return this.given.size > 0;
  }

  // [function, content type] that suits the request.
  choose() {
    const format = this.req.couchQuery.format;
    if (format !== undefined) {
      if (!this.given.has(format)) {
        throw new HttpError(500, 'render_error', `the format option is not supported: ${format}`);
      }
      return [this.given.get(format), this.types[format][0]];
    }
    const names = [...this.given.keys()];
    // Media types without their parameters, which Accept does not name.
    const bare = type => type.split(';')[0];
    const offers = names.flatMap(name => this.types[name].filter(type => type.includes('/')).map(bare));
    const chosen = this.req.accepts(offers);
    if (!chosen) {
      throw new HttpError(406, 'not_acceptable',
        `Content-Type ${this.req.get('Accept')} not supported, try one of: ${offers.join(', ')}`);
    }
    const name = names.find(one => this.types[one].some(type => bare(type) === chosen));
    const type = this.types[name].find(one => bare(one) === chosen);
    return [this.given.get(name), type === '*/*' ? undefined : type];
  }
}

module.exports = { Provider };
