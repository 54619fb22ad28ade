// The page: it replicates the documents of a patient's studies into a PouchDB of the browser, and searches there.
'use strict';

const DATABASE = 'dicouch-offline';
const COLUMNS = {
  studies: ['PatientName', 'PatientID', 'StudyDate', 'ModalitiesInStudy', 'StudyDescription', 'NumberOfStudyRelatedInstances'],
  series: ['PatientName', 'Modality', 'SeriesNumber', 'SeriesDescription', 'NumberOfSeriesRelatedInstances', 'SeriesInstanceUID'],
  instances: ['Modality', 'SeriesNumber', 'InstanceNumber', 'SOPClassUID', 'Rows', 'Columns', 'SOPInstanceUID']
};
const logic = window.dicouchLogic;
const field = name => document.getElementById(name);
let local = new window.PouchDB(DATABASE);

function tell(place, text) {
  field(place).textContent = text;
}

async function tellState() {
  const studies = (await logic.search(local, '/studies?limit=1000000')).rows;
  const documents = (await local.allDocs()).rows.filter(row => !row.id.startsWith('_'));
  tell('state', studies.length ? `${studies.length} studies are here, in ${documents.length} documents.` : 'Nothing is here yet.');
  return studies.length;
}

// The studies of a patient, one after the other; what is here already is not fetched again.
async function take(server, patient, headers = {}) {
  const root = server.replace(/\/+$/, '');
  const query = new URLSearchParams({ PatientID: patient, includefield: 'StudyInstanceUID' });
  const answer = await fetch(`${root}/studies?${query}`, { headers: { Accept: 'application/dicom+json', ...headers } });
  if (!answer.ok) {
    const { reason } = await answer.json().catch(() => ({}));
    throw new Error(`the server answers ${answer.status}: ${reason || 'it says no more'}`);
  }
  const studies = (await answer.json()).map(row => row['0020000D'].Value[0]);
  const sent = (url, options) => {
    if (url === `${root}/documents/`) {
      return new Response('{}'); // what PouchDB takes for the root of a CouchDB
    }
    Object.entries(headers).forEach(([name, value]) => options.headers.set(name, value));
    return fetch(url, { ...options, credentials: 'same-origin' }); // PouchDB's own would send cookies anywhere
  };
  for (const study of studies) {
    const remote = new window.PouchDB(`${root}/documents/${study}`, { fetch: sent, skip_setup: true });
    await window.PouchDB.replicate(remote, local, { checkpoint: 'target', batch_size: 200 });
  }
  localStorage.setItem('server', root);
  return tellState();
}

// Files of this computer: dcmjs parses them, and their documents are made here.
async function add(files) {
  if (!window.dcmjs) {
    await new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = 'dcmjs.min.js';
      script.onload = resolve;
      script.onerror = () => reject(new Error('dcmjs.min.js cannot be loaded'));
      document.head.append(script);
    });
  }
  const { failed } = await logic.addFiles(local, files, window.dcmjs);
  await tellState();
  return failed;
}

// What the server answers to the same text: { rows, remaining, ignored }.
function search(text) {
  return logic.search(local, text, { base: localStorage.getItem('server') || '' });
}

function shown(row, keyword) {
  const { Value: values = [] } = row[logic.tagOf(keyword)] || {};
  return values.map(value => (value && value.Alphabetic) || (value && typeof value === 'object' ? '' : value)).join(' ');
}

function show({ rows, remaining, ignored }, text) {
  const columns = COLUMNS[/(studies|series|instances)(\?|$)/.exec(text)[1]];
  const line = (cells, kind) => {
    const tr = document.createElement('tr');
    tr.append(...cells.map(cell => Object.assign(document.createElement(kind), { textContent: cell })));
    return tr;
  };
  field('rows').replaceChildren(line(columns, 'th'), ...rows.map(row => line(columns.map(name => shown(row, name)), 'td')));
  tell('json', JSON.stringify(rows, null, 2));
  tell('told', [
    `${rows.length} rows`, ...(remaining ? [`${remaining} more behind them`] : []),
    ...(ignored.length ? [`ignored: ${ignored.join(', ')}`] : [])
  ].join('; '));
}

async function forget() {
  await local.destroy();
  local = new window.PouchDB(DATABASE);
  await tellState();
}

// What goes wrong is told where a person looks.
function on(name, event, place, run) {
  field(name).addEventListener(event, async happened => {
    happened.preventDefault();
    tell(place, '…');
    try {
      await run();
    } catch (problem) {
      tell(place, `That failed: ${problem.message || problem.reason || problem}`);
    }
  });
}

on('take', 'submit', 'state', async () => {
  const login = `${field('user').value}:${field('password').value}`;
  const bytes = String.fromCharCode(...new TextEncoder().encode(login));
  const found = await take(field('server').value, field('patient').value, login === ':' ? {} : { Authorization: `Basic ${btoa(bytes)}` });
  if (!found) {
    tell('state', 'The server has no study of this patient.');
  }
});
on('files', 'change', 'state', async () => {
  const failed = await add([...field('files').files]);
  if (failed.length) {
    tell('state', `${field('state').textContent} Not read: ${failed.join(', ')}`);
  }
});
on('search', 'submit', 'told', async () => show(await search(field('query').value), field('query').value));
on('forget', 'click', 'state', forget);

field('server').value = localStorage.getItem('server') || field('server').value;
// The page itself comes from the browser when it is opened again without a network.
const ready = Promise.all([navigator.serviceWorker && navigator.serviceWorker.register('worker.js').catch(() => undefined), tellState()]);
window.offline = { ready, take, add, search, forget };
