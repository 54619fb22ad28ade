// Clients in JavaScript as a page uses them. tests/clients/test_browser.py calls these functions in a browser and
// compares what they return with the files.
'use strict';

const { naturalizeDataset, denaturalizeDataset } = dcmjs.data.DicomMetaDictionary;
// What files and metadata have in different forms, or metadata not at all.
const NOT_COMPARED = ['_meta', '_vrMap', 'PixelData', 'DataSetTrailingPadding'];

function clientOf(url) {
  return new DICOMwebClient.api.DICOMwebClient({ url });
}

async function digest(buffer) {
  const hash = new Uint8Array(await window.crypto.subtle.digest('SHA-256', buffer));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function readFile(buffer) {
  const read = dcmjs.data.DicomMessage.readFile(buffer);
  return { ...naturalizeDataset(read.dict), _meta: naturalizeDataset(read.meta) };
}

// A value as text: dcmjs keeps the padding of a file's strings, and has bytes as buffers there.
function comparable(value) {
  const text = JSON.stringify(value, (key, part) => {
    if (key === '_vrMap') return undefined;
    if (part instanceof ArrayBuffer) return window.btoa(String.fromCharCode(...new Uint8Array(part)));
    if (part && part.InlineBinary) return [part.InlineBinary];
    return typeof part === 'string' ? part.trimEnd() : part;
  });
  return ['""', 'null', '[]', '[null]'].includes(text) ? undefined : text;
}

// 9 MB, which only one test needs.
function loadViewer() {
  window.PUBLIC_LIB_URL = '/dicom-microscopy-viewer/';
  const script = document.createElement('script');
  script.src = window.PUBLIC_LIB_URL + 'dicomMicroscopyViewer.min.js';
  return new Promise((resolve, reject) => {
    Object.assign(script, { onload: resolve, onerror: reject });
    document.body.append(script);
  });
}

window.clients = {
  // The rows of each level, as dcmjs names their attributes.
  async search(url, study, series) {
    const client = clientOf(url);
    const found = [
      await client.searchForStudies(),
      await client.searchForStudies({ queryParams: { PatientName: 'beeth*', limit: 1, fuzzymatching: false } }),
      await client.searchForSeries({ studyInstanceUID: study }),
      await client.searchForInstances({ studyInstanceUID: study, seriesInstanceUID: series }),
      await client.searchForInstances({ queryParams: { PatientID: 'nobody' } })
    ];
    return found.map((rows) => rows.map((row) => naturalizeDataset(row)));
  },

  // What differs between an instance's metadata and its file, both as dcmjs reads them.
  async compare(url, studyInstanceUID, seriesInstanceUID) {
    const client = clientOf(url);
    const files = (await client.retrieveSeries({ studyInstanceUID, seriesInstanceUID })).map(readFile);
    const differences = [];
    let compared = 0;
    for (const metadata of await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID })) {
      const natural = naturalizeDataset(metadata);
      const file = files.find((each) => each.SOPInstanceUID === natural.SOPInstanceUID);
      for (const name of new Set([...Object.keys(natural), ...Object.keys(file)])) {
        if (NOT_COMPARED.includes(name)) continue;
        compared += 1;
        if (natural[name] && natural[name].BulkDataURI) {
          natural[name] = await client.retrieveBulkData({ BulkDataURI: natural[name].BulkDataURI });
        }
        const values = [natural[name], file[name]].map(comparable);
        if (values[0] !== values[1]) differences.push([name, ...values]);
      }
    }
    return { compared, files: files.length, differences };
  },

  // Digests of an instance's pixels in three ways, and of its file; the first bytes of its pictures.
  async retrieve(url, studyInstanceUID, seriesInstanceUID, sopInstanceUID, frameNumbers) {
    const client = clientOf(url);
    const uids = { studyInstanceUID, seriesInstanceUID, sopInstanceUID };
    const decoded = [{ mediaType: 'application/octet-stream', transferSyntaxUID: '1.2.840.10008.1.2.1' }];
    const file = dcmjs.data.DicomMessage.readFile(await client.retrieveInstance(uids));
    const link = client.buildInstanceWadoURIUrl({ ...uids, contentType: 'application/dicom', transferSyntax: '*' });
    const frames = await client.retrieveInstanceFrames({ ...uids, frameNumbers, mediaTypes: decoded });
    const [metadata] = await client.retrieveInstanceMetadata(uids).then((found) => [found].flat());
    const bulk = await client.retrieveBulkData({ BulkDataURI: metadata['7FE00010'].BulkDataURI });
    const shown = [
      await client.retrieveInstanceRendered({ ...uids, mediaTypes: [{ mediaType: 'image/png' }] }),
      await client.retrieveInstanceThumbnail({ ...uids, mediaTypes: [{ mediaType: 'image/jpeg' }] }),
      await client.retrieveInstanceFramesRendered({ ...uids, frameNumbers: [1], mediaTypes: [{ mediaType: 'image/jpeg' }] })
    ];
    return {
      pixels: await digest(file.dict['7FE00010'].Value[0]),
      linked: await digest(await (await window.fetch(link)).arrayBuffer()),
      frames: await Promise.all(frames.map(digest)),
      bulk: await Promise.all([bulk].flat().map(digest)),
      shown: shown.map((picture) => Array.from(new Uint8Array([picture].flat()[0]).slice(0, 4)))
    };
  },

  // Changes a file with dcmjs, and stores it twice; both answers, and how much the progress told of.
  async store(url, studyInstanceUID, seriesInstanceUID, sopInstanceUID, study) {
    const client = clientOf(url);
    const read = dcmjs.data.DicomMessage.readFile(
      await client.retrieveInstance({ studyInstanceUID, seriesInstanceUID, sopInstanceUID })
    );
    const dataset = naturalizeDataset(read.dict);
    Object.assign(dataset, { StudyInstanceUID: study, SeriesInstanceUID: study + '.1', SOPInstanceUID: study + '.1.1' });
    Object.assign(dataset, { PatientName: 'Größe^Änne', PatientID: 'JS1', AccessionNumber: 'JS1' });
    dataset.SpecificCharacterSet = 'ISO_IR 192';
    const changed = new dcmjs.data.DicomDict({ ...read.meta, '00020003': { vr: 'UI', Value: [study + '.1.1'] } });
    changed.dict = denaturalizeDataset(dataset);
    const file = changed.write();
    let told = 0;
    const request = new window.XMLHttpRequest();
    request.upload.addEventListener('progress', (event) => {
      told = Math.max(told, event.loaded / event.total);
    });
    const first = await client.storeInstances({ datasets: [file], request: { instance: request } });
    const second = await client.storeInstances({ datasets: [file], studyInstanceUID: study });
    return { told, answers: [first, second].map((answer) => naturalizeDataset(JSON.parse(answer))) };
  },

  // The README of dicom-microscopy-viewer: a slide in the page. Returns the tiles that it loaded, as it decoded them.
  async slide(url, studyInstanceUID, seriesInstanceUID, wanted) {
    await loadViewer();
    const { viewer, metadata } = window.dicomMicroscopyViewer;
    const client = clientOf(url);
    const rows = await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID });
    const images = rows.map((row) => new metadata.VLWholeSlideMicroscopyImage({ metadata: row }));
    const flavor = (name) => images.filter((image) => image.ImageType[2] === name);
    const container = document.getElementById('viewport');
    const tiles = {};
    const failed = [];
    const loaded = new Promise((resolve) => {
      container.addEventListener('dicommicroscopyviewer_frame_loading_ended', (event) => {
        const { sopInstanceUID, frameNumber, pixelArray } = event.detail.payload;
        if (pixelArray) tiles[sopInstanceUID + '/' + frameNumber] = Array.from(pixelArray);
        if (Object.keys(tiles).length >= wanted) resolve();
      });
      container.addEventListener('dicommicroscopyviewer_frame_loading_error', (event) => {
        failed.push(event.detail.payload);
        resolve();
      });
      window.setTimeout(resolve, 30000);
    });
    new viewer.VolumeImageViewer({ client, metadata: flavor('VOLUME') }).render({ container });
    await loaded;
    for (const [name, kind] of [['OVERVIEW', 'OverviewImageViewer'], ['LABEL', 'LabelImageViewer']]) {
      new viewer[kind]({ client, metadata: flavor(name)[0] }).render({ container: document.getElementById(name) });
    }
    const asked = () =>
      window.performance.getEntriesByType('resource').filter((entry) => entry.name.startsWith(url));
    for (let tries = 0; tries < 200 && asked().filter((entry) => entry.name.endsWith('/rendered')).length < 2; tries += 1) {
      await new Promise((resolve) => window.setTimeout(resolve, 50));
    }
    const loadedFrom = window.performance.getEntriesByType('resource').map((entry) => entry.name);
    return { tiles, failed, loadedFrom, asked: asked().map((entry) => [entry.name.slice(url.length), entry.responseStatus]) };
  }
};

// What WebDriver calls: the result, or what went wrong.
window.callClient = function (name, given, done) {
  window.clients[name](...given).then(done, (error) => done({ error: String((error && error.message) || error) }));
};
