// What the package dicouch-logic makes of tags, queries, documents and files: tests/designdocs/test_logic.py compares it with the
// server's. Reads { module, dcmjs, keywords, tags, queries, documents, files, searches } and writes the answers, both JSON.
'use strict';

const fs = require('fs');

const given = JSON.parse(fs.readFileSync(0, 'utf8'));
const logic = require(given.module);
const { data, log } = require(given.dcmjs);

log.setLevel('silent');
console.warn = () => undefined;

function understood(text) {
  try {
    const { query } = logic.parse(text, 1000);
    return { keys: query.keys, include: query.include, limit: query.limit, offset: query.offset, unknown: query.unknown };
  } catch (problem) {
    return { refused: problem.message };
  }
}

function parsed(name) {
  const bytes = fs.readFileSync(name);
  try {
    const read = data.DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), { ignoreErrors: true });
    return { dataset: logic.fromDcmjs(read), syntax: read.meta['00020010'].Value[0] };
  } catch (problem) {
    return null;
  }
}

function documentsOf(datasets) {
  const instances = datasets.map(({ dataset, syntax }) => logic.instanceDocument(dataset, { transferSyntax: syntax, size: 1 }));
  return [...instances, ...logic.headers.of(instances)];
}

async function main() {
  const read = given.files.map(parsed);
  const own = documentsOf(read.filter((one, at) => one && given.same[at]));
  process.stdout.write(JSON.stringify({
    tags: given.keywords.map(name => logic.tagOf(name) || null),
    vrs: given.tags.map(logic.vrOf),
    queries: given.queries.map(understood),
    rows: Object.fromEntries(Object.entries(logic.views).map(([name, map]) => [name, given.documents.map(map)])),
    read: read.map(one => one && one.dataset),
    here: await Promise.all(given.searches.map(text => logic.search(own, text))),
    there: await Promise.all(given.searches.map(text => logic.search(documentsOf(given.same.filter(Boolean)), text)))
  }));
}

main().catch(problem => {
  console.error(problem);
  process.exitCode = 1;
});
