'use strict';

// Sends {head, rows} as CouchDB does, page by page: memory does not grow with the answer, and a slow reader slows the
// reading.

// What is collected before it is sent.
const CHUNK = 256 * 1024;

function writeChunk(res, text) {
  if (res.destroyed || res.write(text)) {
    return Promise.resolve();
  }
  return new Promise(resolve => {
    const go = () => {
      res.off('drain', go);
      res.off('close', go);
      resolve();
    };
    res.on('drain', go);
    res.on('close', go);
  });
}

async function sendRows(res, source, page) {
  try {
    // The first page before the status: its failure still has one.
    const rows = await source.read(page);
    begin(res);
    res.end(await sendPages(res, source, page, rows) + '\n');
  } finally {
    await source.close();
  }
}

// Several answers as one, as CouchDB's `queries` gives them.
async function sendResults(res, sources, page) {
  begin(res);
  let text = '{"results": [\n';
  for (const source of sources) {
    await writeChunk(res, text);
    try {
      const rest = await sendPages(res, source, page, await source.read(page));
      text = rest + (source === sources[sources.length - 1] ? '\n' : ',\n');
    } finally {
      await source.close();
    }
  }
  res.end(text + ']}\n');
}

function begin(res) {
  res.status(200);
  res.setHeader('Content-Type', 'application/json');
  res.setHeader('Cache-Control', 'must-revalidate');
}

// Sends the rows of a source, the first page of which is read already; returns what is still to be sent.
async function sendPages(res, source, page, rows) {
  const head = JSON.stringify(source.head).slice(0, -1);
  let text = `${head}${head.length > 1 ? ',' : ''}"rows":[\n`;
  let separator = '';
  for (;;) {
    for (const row of rows) {
      text += separator + JSON.stringify(row);
      separator = ',\n';
      if (text.length > CHUNK) {
        await writeChunk(res, text);
        text = '';
      }
    }
    if (rows.length < page || res.destroyed) {
      return text + '\n]}';
    }
    rows = await source.read(page);
  }
}

module.exports = { sendResults, sendRows, writeChunk };
