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
    let rows = await source.read(page);
    res.status(200);
    res.setHeader('Content-Type', 'application/json');
    res.setHeader('Cache-Control', 'must-revalidate');
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
        break;
      }
      rows = await source.read(page);
    }
    res.end(text + '\n]}\n');
  } finally {
    await source.close();
  }
}

module.exports = { sendRows };
