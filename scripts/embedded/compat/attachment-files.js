'use strict';

// Attachments as files. PouchDB keeps an attachment as one value of leveldb, so that reading or writing it holds it in
// memory several times over. Here the bytes that arrive over HTTP go to `<database>.attachments/`, named by their MD5,
// and the document refers to them by digest as it does to any attachment. A leveldown in between shows those files to
// PouchDB as the values it expects (for replication and `attachments=true`), and removes a file when PouchDB drops its
// last reference.

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { pipeline } = require('stream/promises');
const { Transform } = require('stream');
const { promisify } = require('util');

// The keys under which pouchdb-adapter-leveldb-core files an attachment's references, its bytes, and a design document.
const REFERENCES = '\xffattach-store\xff';
const BYTES = '\xffattach-binary-store\xff';
const DESIGN = '\xffdocument-store\xff_design/';

// What comes inside a document or by replication goes to a file above this size.
const LARGE = 64 * 1024;

class AttachmentFolder {
  constructor(directory) {
    this.directory = directory;
    this.incoming = path.join(directory, 'incoming');
    this.pins = new Map();
    this.serial = 0;
    this.made = new Set();
    // What a crash left half received.
    fs.rmSync(this.incoming, { recursive: true, force: true });
  }

  file(digest) {
    const name = Buffer.from(digest.replace(/^md5-/, ''), 'base64').toString('hex');
    return path.join(this.directory, name.slice(0, 2), name);
  }

  async makeFolder(folder) {
    if (!this.made.has(folder)) {
      await fs.promises.mkdir(folder, { recursive: true });
      this.made.add(folder);
    }
  }

  async temporary() {
    await this.makeFolder(this.incoming);
    return path.join(this.incoming, String(++this.serial));
  }

  async place(temporary, target) {
    await this.makeFolder(path.dirname(target));
    await fs.promises.rename(temporary, target);
  }

  async write(digest, bytes) {
    const temporary = await this.temporary();
    await fs.promises.writeFile(temporary, bytes, { flush: true });
    await this.place(temporary, this.file(digest));
  }

  // Receives a stream into a file; the answer is pinned until release() says that its document is written.
  async receive(stream) {
    const temporary = await this.temporary();
    const md5 = crypto.createHash('md5');
    let length = 0;
    const meter = new Transform({
      transform(chunk, encoding, done) {
        md5.update(chunk);
        length += chunk.length;
        done(null, chunk);
      }
    });
    try {
      await pipeline(stream, meter, fs.createWriteStream(temporary, { flush: true }));
      const digest = 'md5-' + md5.digest('base64');
      const target = this.file(digest);
      this.pins.set(digest, (this.pins.get(digest) || 0) + 1);
      await this.place(temporary, target);
      return { digest, length };
    } catch (error) {
      await fs.promises.rm(temporary, { force: true });
      throw error;
    }
  }

  // Ends what receive() began: the document that refers to the file is written, or refused.
  async release(digest) {
    const left = this.pins.get(digest) - 1;
    if (left > 0) {
      this.pins.set(digest, left);
      return;
    }
    this.pins.delete(digest);
    if (!await this.isReferenced(digest)) {
      await this.remove(digest);
    }
  }

  async remove(digest) {
    if (!this.pins.has(digest)) {
      await fs.promises.rm(this.file(digest), { force: true });
    }
  }
}

// A leveldown constructor for PouchDB's `db` option. `folders` maps a database's location to its AttachmentFolder.
// `onWrite(location, design)` hears of every write, with `design` true for a design document; `onDestroy(location)` is
// awaited before a database's files go.
function attachmentLeveldown(leveldown, folders, { sync, onWrite, onDestroy }) {
  function withAttachments(location) {
    const store = leveldown(location);
    const folder = new AttachmentFolder(location + '.attachments');
    const get = store._get;
    const batch = store._batch;
    folders.set(location, folder);
    folder.isReferenced = digest => new Promise(resolve => {
      get.call(store, REFERENCES + digest, {}, error => resolve(!error));
    });

    store._get = function (key, options, callback) {
      get.call(this, key, options, (error, value) => {
        const name = error && /notfound/i.test(error.message) ? String(key) : '';
        if (name.startsWith(REFERENCES)) {
          // A file without a reference yet: its document is being written.
          fs.access(folder.file(name.slice(REFERENCES.length)), missing => {
            callback(missing ? error : null, options.asBuffer === false ? '{"refs":{}}' : Buffer.from('{"refs":{}}'));
          });
        } else if (name.startsWith(BYTES)) {
          fs.readFile(folder.file(name.slice(BYTES.length)), (missing, bytes) => {
            callback(missing ? error : null, bytes);
          });
        } else {
          callback(error, value);
        }
      });
    };

    store._batch = function (operations, options, callback) {
      const bytes = operations.filter(one => String(one.key).startsWith(BYTES));
      const dropped = bytes.filter(one => one.type === 'del');
      const large = new Set(bytes.filter(one => one.type === 'put' && one.value.length > LARGE));
      const digest = one => String(one.key).slice(BYTES.length);
      const kept = large.size ? operations.filter(one => !large.has(one)) : operations;
      Promise.all([...large].map(one => folder.write(digest(one), one.value)))
        .then(() => new Promise((resolve, reject) => {
          batch.call(this, kept, { sync }, error => error ? reject(error) : resolve());
        }))
        .then(() => onWrite(location, operations.some(one => String(one.key).startsWith(DESIGN))))
        .then(() => Promise.all(dropped.map(one => folder.remove(digest(one)))))
        .then(() => callback(), callback);
    };

    return store;
  }

  withAttachments.destroy = function (location, callback) {
    Promise.resolve(onDestroy(location))
      .then(() => fs.promises.rm(location + '.attachments', { recursive: true, force: true }))
      .then(() => promisify(leveldown.destroy)(location))
      .then(() => {
        folders.delete(location);
        callback();
      }, callback);
  };
  return withAttachments;
}

module.exports = { attachmentLeveldown };
