'use strict';

// Makes dist/ of the design document and of src/: one script (CommonJS, or the global dicouchLogic in a page) and one ES module.
// The modules stay as they are, each a function of `require`, as CouchDB wraps them. `npm pack` runs this.
// With a folder as its argument it puts the page of docs/offline there, with what that needs.

const fs = require('fs');
const path = require('path');
const { data } = require('dcmjs');

const ROOT = path.join(__dirname, '..', '..', 'designdocs', 'dicom');
const DIST = path.join(__dirname, 'dist');
const PAGES = /^lib\/(pages|fixes)\//;
// Lists that search; the others make pages and what the server alone needs.
const LISTS = ['studies', 'series', 'instances', 'patients', 'members', 'metadata'];
const VRS = { up: 'UL', xs: 'UN', ox: 'OB', lt: 'UN', na: 'UN' };

const read = file => fs.readFileSync(file, 'utf8');

function walk(folder) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const place = path.join(folder, entry.name);
    return entry.isDirectory() ? walk(place) : [place];
  });
}

// What the design document takes from those beside it, as modules: [name, file].
function shared() {
  return Object.entries(JSON.parse(read(path.join(ROOT, 'shares.json')))).flatMap(([folder, names]) => names.flatMap(name => {
    const other = path.join(ROOT, '..', folder);
    const single = ['.js', '.json'].map(end => path.join(other, name + end)).filter(file => fs.existsSync(file));
    return (single.length ? single : walk(path.join(other, name))).map(file => (
      [path.relative(other, file).replace(/\.js(on)?$/, '').split(path.sep).join('/'), file]));
  }));
}

const named = (folder, root, end) => walk(folder).filter(file => file.endsWith(end)).map(file => (
  [path.relative(root, file).slice(0, -end.length).split(path.sep).join('/'), file]));

// Tag, VR and keyword of every attribute, a line each: dcmjs has PS3.6, corrections.json what is wrong or missing in it.
function dictionary() {
  const { corrections } = require('./corrections.json');
  const found = {};
  for (const [name, { tag, vr }] of Object.entries(data.DicomMetaDictionary.nameMap)) {
    const digits = tag.replace(/[^0-9A-Fa-f]/g, '').toUpperCase();
    if (digits.length === 8) {
      found[digits] = `${VRS[vr] || vr}${name.replace(/^RETIRED_/, '')}`;
    }
  }
  const repeating = Object.entries(found).filter(([tag]) => /^[56]0/.test(tag));
  for (const [tag, text] of repeating) {
    delete found[tag];
    found[`${tag.slice(0, 2)}xx${tag.slice(4)}`] = text.slice(0, 2);
  }
  return Object.entries({ ...found, ...corrections }).filter(([, text]) => text).map(pair => pair.join('')).sort().join('\n');
}

function modules() {
  const found = {};
  for (const [name, file] of [...named(path.join(ROOT, 'lib'), ROOT, '.js'), ...named(path.join(ROOT, 'views', 'lib'), ROOT, '.js')]) {
    if (!PAGES.test(name)) {
      found[name] = read(file);
    }
  }
  const [texts, tables] = ['.js', '.json'].map(end => shared().filter(([, file]) => file.endsWith(end)));
  texts.forEach(([name, file]) => {
    found[name] = read(file);
  });
  for (const [name, file] of [...named(path.join(ROOT, 'tables'), ROOT, '.json'), ...tables]) {
    found[name] = `module.exports = ${read(file)};`;
    found[`views/lib/${name}`] = `module.exports = require('${name}');`;
  }
  for (const [name, file] of named(path.join(__dirname, 'src'), path.join(__dirname, 'src'), '.js')) {
    found[`logic/${name}`] = read(file);
  }
  found['logic/dictionary'] = `module.exports = ${JSON.stringify(dictionary())};`;
  return found;
}

const pairs = (some, write) => `{\n${Object.entries(some).map(([name, text]) => `${JSON.stringify(name)}: ${write(text.trim())}`).join(',\n')}\n}`;

function body() {
  const views = fs.readdirSync(path.join(ROOT, 'views')).filter(name => name !== 'lib');
  const maps = Object.fromEntries(views.map(name => [name, read(path.join(ROOT, 'views', name, 'map.js'))]));
  const reduces = Object.fromEntries(views.map(name => [name, path.join(ROOT, 'views', name, 'reduce')])
    .filter(([, file]) => fs.existsSync(file)).map(([name, file]) => [name, read(file)]));
  const lists = Object.fromEntries(LISTS.map(name => [name, read(path.join(ROOT, 'lists', `${name}.js`))]));
  return `var modules = ${pairs(modules(), text => `function (require, exports, module) {\n${text}\n}`)};
var maps = ${pairs(maps, text => `function (require, emit) {\nreturn ${text};\n}`)};
var reduces = ${pairs(reduces, JSON.stringify)};
var lists = ${pairs(lists, text => `function (require, given) {
var getRow = given.getRow, send = given.send, start = given.start, provides = given.provides;
return ${text};
}`)};
var loaded = { registry: { exports: { lists: lists, maps: maps, modules: modules, reduces: reduces } } };
function require(name) {
  if (!loaded[name]) {
    if (!modules[name]) { throw new Error('no module ' + name); }
    var module = { exports: {} };
    loaded[name] = module;
    modules[name](require, module.exports, module);
  }
  return loaded[name].exports;
}
`;
}

// Whole or not at all: tests make the package at the same time.
function write(name, text) {
  const fresh = path.join(DIST, `.${name}.${process.pid}`);
  fs.writeFileSync(fresh, text);
  fs.renameSync(fresh, path.join(DIST, name));
}

function main() {
  fs.mkdirSync(DIST, { recursive: true });
  const text = body();
  const names = [...read(path.join(__dirname, 'src', 'index.js')).matchAll(/^ {2}(\w+): /gm)].map(([, name]) => name);
  write('index.js', `(function (root, make) {
  if (typeof module === 'object' && module.exports) { module.exports = make(); } else { root.dicouchLogic = make(); }
}(typeof self === 'object' ? self : this, function () {\n${text}return require('logic/index');\n}));\n`);
  write('index.mjs', `const made = (function () {\n${text}return require('logic/index');\n}());\nexport const { ${names.join(', ')} } = made;\n`);
}

function page(folder) {
  const source = path.join(__dirname, '..', '..', 'docs', 'offline');
  const files = fs.readdirSync(source).filter(name => /\.(html|css|js)$/.test(name)).map(name => [name, path.join(source, name)]);
  files.push(['dicouch-logic.js', path.join(DIST, 'index.js')]);
  files.push(['pouchdb.min.js', path.join(path.dirname(require.resolve('pouchdb/package.json')), 'dist', 'pouchdb.min.js')]);
  files.push(['dcmjs.min.js', path.join(path.dirname(require.resolve('dcmjs')), 'dcmjs.min.js')]);
  fs.mkdirSync(folder, { recursive: true });
  files.forEach(([name, file]) => fs.copyFileSync(file, path.join(folder, name)));
}

main();
if (process.argv[2]) {
  page(process.argv[2]);
}
