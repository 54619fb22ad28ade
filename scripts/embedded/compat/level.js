'use strict';

// A leveldb (or, in memory mode, a memdown) with promises and with pages of rows: what the view indexes are kept in.

const leveldown = require('leveldown');
const memdown = require('memdown');

class Level {
  constructor(location, memory) {
    this.location = location;
    this.store = memory ? memdown(location) : leveldown(location);
  }

  call(method, ...args) {
    return new Promise((resolve, reject) => {
      this.store[method](...args, (error, value) => error ? reject(error) : resolve(value));
    });
  }

  open() {
    return this.call('open', {});
  }

  close() {
    return this.call('close');
  }

  batch(operations) {
    return this.call('batch', operations);
  }

  // The value as a Buffer, or undefined.
  async get(key) {
    try {
      return await this.call('get', key);
    } catch (error) {
      if (/notfound/i.test(error.message)) {
        return undefined;
      }
      throw error;
    }
  }

  // A cursor over a range (gte, gt, lte, lt, reverse); it reads the state of the moment it was made.
  cursor(range) {
    const iterator = this.store.iterator(Object.assign({ highWaterMark: 256 * 1024 }, range));
    let ended = false;
    return {
      // Up to `count` [key, value] pairs; fewer mean the end.
      read(count) {
        return new Promise((resolve, reject) => {
          const rows = [];
          const step = () => {
            if (ended || rows.length >= count) {
              resolve(rows);
              return;
            }
            iterator.next((error, key, value) => {
              if (error) {
                reject(error);
              } else if (key === undefined) {
                ended = true;
                resolve(rows);
              } else {
                rows.push([key, value]);
                step();
              }
            });
          };
          step();
        });
      },
      close() {
        ended = true;
        return new Promise((resolve, reject) => iterator.end(error => error ? reject(error) : resolve()));
      }
    };
  }
}

Level.destroy = (location, memory) => new Promise((resolve, reject) => {
  (memory ? memdown : leveldown).destroy(location, error => error ? reject(error) : resolve());
});

module.exports = { Level };
