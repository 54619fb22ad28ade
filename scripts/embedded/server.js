#!/usr/bin/env node
'use strict';

// The embedded database of dicouch: `node server.js --port 5984 --data DIR`. Prints one JSON line {"url": ...} when it
// answers.
//
//   --host HOST      address to listen on (127.0.0.1)
//   --port PORT      port to listen on (0: any free one)
//   --data DIR       where the databases are kept
//   --memory         keep nothing: databases in memory, attachments in a temporary folder
//   --with-parent    end when standard input ends, that is, with the process that started this one
//
// EMBEDDED_ADMIN=user:password sets the administrator; without one everybody who reaches the port is administrator.
// EMBEDDED_TIME_LIMIT=5000 is how many milliseconds a function of a design document may run.
// Exit code 2 when it cannot start: options, the port, or a data folder that another process uses.

const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const { parseArgs } = require('util');

function fail(message) {
  process.stderr.write(message + '\n');
  process.exit(2);
}

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        host: { type: 'string', default: '127.0.0.1' },
        port: { type: 'string', default: '0' },
        data: { type: 'string' },
        memory: { type: 'boolean', default: false },
        'with-parent': { type: 'boolean', default: false }
      }
    }));
  } catch (error) {
    fail(error.message);
  }
  if (!/^\d+$/.test(values.port) || Number(values.port) > 65535) {
    fail(`--port is not a port: ${values.port}`);
  }
  if (!values.data && !values.memory) {
    fail('--data DIR or --memory is needed');
  }
  const admin = process.env.EMBEDDED_ADMIN;
  if (admin && !/^[^:]+:.+/.test(admin)) {
    fail('EMBEDDED_ADMIN is not user:password');
  }
  const [, name, password] = /^([^:]*):(.*)$/.exec(admin || '') || [];
  return Object.assign(values, { port: Number(values.port), admin: admin ? { name, password } : undefined });
}

async function main() {
  const options = readOptions();
  const root = options.memory ? fs.mkdtempSync(path.join(os.tmpdir(), 'dicouch-')) : path.resolve(options.data);
  const folder = path.join(root, 'databases');
  let host;
  const cleanUp = () => {
    if (options.memory) {
      fs.rmSync(root, { recursive: true, force: true });
    }
  };
  try {
    fs.mkdirSync(folder, { recursive: true });
    const { createHost } = require('./compat');
    host = await createHost({ folder, memory: options.memory, admin: options.admin, logPath: os.devNull });
  } catch (error) {
    cleanUp();
    fail(/lock/i.test(error.message || error.reason)
      ? `the data folder is in use by another process: ${root}`
      : `cannot open the data folder ${root}: ${error.reason || error.message}`);
  }

  const server = http.createServer({ requestTimeout: 0, maxHeaderSize: 64 * 1024 }, host.app);
  server.keepAliveTimeout = 60000;
  server.on('error', error => {
    cleanUp();
    fail(error.code === 'EADDRINUSE'
      ? `port ${options.port} is in use` : `cannot listen on ${options.host}:${options.port}: ${error.message}`);
  });
  server.listen(options.port, options.host, () => {
    const { port } = server.address();
    const name = options.host.includes(':') ? `[${options.host}]` : options.host;
    host.listening(port).catch(error => process.stderr.write(`replications do not go on: ${error.stack || error}\n`));
    process.stdout.write(JSON.stringify({ url: `http://${name}:${port}` }) + '\n');
  });

  let stopping = false;
  const stop = () => {
    if (stopping) {
      return;
    }
    stopping = true;
    server.close();
    server.closeIdleConnections();
    // Requests that run may end; those that wait for changes would not.
    setTimeout(() => server.closeAllConnections(), 2000).unref();
    server.on('close', () => {
      host.close().catch(error => process.stderr.write(error.stack + '\n')).then(() => {
        cleanUp();
        process.exit(0);
      });
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  if (options['with-parent']) {
    process.stdin.on('end', stop).on('error', stop).resume();
  }
}

main();
