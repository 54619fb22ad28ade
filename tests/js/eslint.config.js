// What the JavaScript of this project is checked against; run by `make lint` and tests/unit/test_lint.py.
'use strict';

const path = require('path');
const js = require('@eslint/js');

const FUNCTIONS = [
  'designdocs/*/views/*/map.js',
  'designdocs/*/views/*/reduce.js',
  'designdocs/*/{lists,shows,updates,filters}/*.js',
  'designdocs/*/{validate_doc_update,rewrites}.js'
];
const READ_ONLY = 'readonly';
const COMMONJS = { module: 'writable', exports: 'writable', require: READ_ONLY };
// What CouchDB's query server gives to functions (share/server/dispatch-quickjs.js).
const QUERY_SERVER = {
  emit: READ_ONLY, sum: READ_ONLY, log: READ_ONLY, isArray: READ_ONLY, toJSON: READ_ONLY, require: READ_ONLY,
  provides: READ_ONLY, registerType: READ_ONLY, start: READ_ONLY, send: READ_ONLY, getRow: READ_ONLY
};
const NODE = {
  Buffer: READ_ONLY, console: READ_ONLY, process: READ_ONLY, __dirname: READ_ONLY, __filename: READ_ONLY,
  setTimeout: READ_ONLY, clearTimeout: READ_ONLY, setInterval: READ_ONLY, clearInterval: READ_ONLY,
  setImmediate: READ_ONLY, clearImmediate: READ_ONLY, queueMicrotask: READ_ONLY, URL: READ_ONLY,
  URLSearchParams: READ_ONLY, AbortController: READ_ONLY, TextDecoder: READ_ONLY, TextEncoder: READ_ONLY, fetch: READ_ONLY,
  structuredClone: READ_ONLY
};

// A file of a design document is a bare function expression, which is no program: eslint reads it in parentheses.
// They stand on the lines of the code itself, so that only columns of the first line move.
const BEFORE = '(';
const bareFunction = {
  meta: { name: 'bare-function', version: '1' },
  preprocess(text, filename) {
    // A built-in reduce (`_count`) is a name, not JavaScript.
    return /^\s*_\w+\s*$/.test(text) ? [] : [{ text: BEFORE + text + '\n)', filename: path.basename(filename) }];
  },
  postprocess(messages) {
    return messages.flat().map((message) => {
      if (message.line === 1) {
        message.column = Math.max(1, message.column - BEFORE.length);
      }
      delete message.fix;
      return message;
    });
  }
};

const STYLE = {
  'no-unused-vars': ['error', { args: 'none', caughtErrors: 'none' }],
  eqeqeq: 'error',
  'no-var': 'off',
  curly: ['error', 'multi-line'],
  // Normalising text means naming control characters.
  'no-control-regex': 'off',
  'no-use-before-define': ['error', { functions: false }],
  'max-lines': ['error', 450]
};
const COUCHAPP = {
  ...STYLE,
  // Databases run these without Intl, and not in one locale.
  'no-restricted-globals': ['error', 'Intl', 'console', 'setTimeout', 'Promise', 'Symbol', 'Map', 'Set'],
  'no-restricted-properties': [
    'error',
    { property: 'normalize', message: "CouchDB's QuickJS does not have it." },
    { property: 'localeCompare', message: 'The order must be the same on every engine.' },
    { property: 'toLocaleLowerCase', message: 'The result must be the same on every engine.' },
    { property: 'toLocaleUpperCase', message: 'The result must be the same on every engine.' }
  ],
  'no-restricted-syntax': [
    'error',
    { selector: "AssignmentExpression[left.type='MemberExpression'][left.object.name='doc']", message: 'Documents are frozen.' }
  ]
};

module.exports = [
  { ignores: ['**/node_modules/**', '.venv/**', 'build/**', 'data/**', 'scripts/logic/dist/**'] },
  js.configs.recommended,
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['designdocs/**/*.js'],
    ignores: ['designdocs/*/assets/*.js'],
    languageOptions: { ecmaVersion: 5, sourceType: 'script', globals: { ...QUERY_SERVER, ...COMMONJS } },
    rules: COUCHAPP
  },
  {
    // What the pages load into a browser, which is not the database: the design document only carries it.
    files: ['designdocs/*/assets/*.js'],
    languageOptions: {
      ecmaVersion: 5,
      sourceType: 'script',
      globals: {
        Promise: READ_ONLY, window: READ_ONLY, document: READ_ONLY, crypto: READ_ONLY, Blob: READ_ONLY, Uint8Array: READ_ONLY,
        XMLHttpRequest: READ_ONLY, setTimeout: READ_ONLY, requestAnimationFrame: READ_ONLY
      }
    },
    rules: { ...STYLE, 'no-control-regex': 'off' }
  },
  { files: FUNCTIONS, processor: bareFunction },
  {
    // The file inside the processor's block: the expression is the function itself.
    files: FUNCTIONS.map((pattern) => pattern + '/*.js'),
    languageOptions: { ecmaVersion: 5, sourceType: 'script', globals: QUERY_SERVER },
    rules: { ...COUCHAPP, 'no-unused-expressions': 'off' }
  },
  {
    files: ['scripts/**/*.js', 'tests/**/*.js'],
    languageOptions: { ecmaVersion: 2023, sourceType: 'commonjs', globals: NODE },
    rules: { ...STYLE, 'no-var': 'error', 'prefer-const': 'error' }
  },
  {
    // A page that stands alone, and the worker that keeps its files.
    files: ['docs/offline/*.js'],
    languageOptions: {
      ecmaVersion: 2023,
      sourceType: 'script',
      globals: {
        window: READ_ONLY, document: READ_ONLY, navigator: READ_ONLY, localStorage: READ_ONLY, self: READ_ONLY, caches: READ_ONLY,
        fetch: READ_ONLY, Response: READ_ONLY, URLSearchParams: READ_ONLY, TextEncoder: READ_ONLY, btoa: READ_ONLY
      }
    },
    rules: { ...STYLE, 'no-var': 'error', 'prefer-const': 'error' }
  },
  {
    files: ['scripts/logic/src/*.js'],
    languageOptions: { globals: { btoa: READ_ONLY } }
  },
  {
    files: ['tests/js/clients.js'],
    languageOptions: {
      sourceType: 'script',
      globals: { window: READ_ONLY, document: READ_ONLY, dcmjs: READ_ONLY, DICOMwebClient: READ_ONLY }
    }
  }
];
