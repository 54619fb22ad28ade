// What the upload page knows of files, folders and answers, apart from the page itself.
window.dicouch = (function () {
  'use strict';

  function plural(number, one) { return number.toLocaleString() + ' ' + one + (number === 1 ? '' : 's'); }

  function size(bytes) {
    return bytes < 1e6 ? Math.ceil(bytes / 1e3) + ' kB' : bytes < 1e9 ? (bytes / 1e6).toFixed(1) + ' MB' : (bytes / 1e9).toFixed(2) + ' GB';
  }

  // --- What a file is, by its beginning (PS3.10 7.1) ---

  function text(bytes, from, length) {
    var found = '';
    for (var i = from; i < from + length && i < bytes.length; i += 1) { found += String.fromCharCode(bytes[i]); }
    return found;
  }

  // The SOP Instance UID of the File Meta Information, '' where there is none, null where this is no DICOM file.
  function identify(bytes) {
    var group = bytes[0] | bytes[1] << 8, swapped = bytes[0] << 8 | bytes[1];
    var from = text(bytes, 128, 4) === 'DICM' ? 132 : text(bytes, 0, 4) === 'DICM' ? 4 : -1;
    if (from < 0) {
      // A data set without a header, of either byte order, the server takes as well.
      return bytes.length >= 8 && (group === 2 || (group >= 8 && group < 256) || (swapped >= 8 && swapped < 256)) ? '' : null;
    }
    // Always Explicit VR Little Endian.
    while (from + 8 <= bytes.length && bytes[from] === 2 && bytes[from + 1] === 0) {
      var isLong = ['OB', 'OW', 'UN', 'UT', 'SQ'].indexOf(text(bytes, from + 4, 2)) >= 0;
      var length = isLong ? bytes[from + 8] | bytes[from + 9] << 8 | bytes[from + 10] << 16 | bytes[from + 11] << 24 :
        bytes[from + 6] | bytes[from + 7] << 8;
      var value = from + (isLong ? 12 : 8);
      if (length < 0) { return ''; }
      if (bytes[from + 2] === 3 && bytes[from + 3] === 0) { return text(bytes, value, length).replace(/[\0 ]+$/, ''); }
      from = value + length;
    }
    return '';
  }

  function value(item, tag) { return item[tag] && item[tag].Value ? item[tag].Value[0] : ''; }

  // The words for a code; lib/pages/upload.js has them.
  function reasonOf(reasons, code) {
    var name = ('000' + code.toString(16).toUpperCase()).slice(-4);
    return (reasons[name] || reasons[name.slice(0, 2) + 'xx'] || reasons[name.slice(0, 1) + 'xxx'] || 'refused') + ' (' + name + 'H)';
  }

  // What the answer to a store request (PS3.18 Table I.1-1) says of each file of a batch, by the SOP Instance UID, which no two of
  // them share: { isStored, reason, study }, null where that cannot be told. Of a file alone everything that is said counts.
  function results(batch, told, reasons) {
    var items = [];
    ['00081199', '00081198', '0008119A'].forEach(function (tag) {
      (told[tag] && told[tag].Value || []).forEach(function (item) { items.push({ isStored: tag === '00081199', item: item }); });
    });
    return items.length ? batch.map(function (entry) {
      var found = items.filter(function (one) {
        return batch.length === 1 || value(one.item, '00081155') === entry.uid;
      })[0];
      if (!found) { return null; }
      var code = value(found.item, found.isStored ? '00081196' : '00081197');
      var words = [code || !found.isStored ? reasonOf(reasons, code || 0x110) : '', value(found.item, '00000902')];
      return {
        isStored: found.isStored, reason: words.filter(Boolean).join(': '),
        study: found.isStored ? (/\/studies\/([^/]+)/.exec(value(found.item, '00081190')) || [])[1] || '' : ''
      };
    }) : null;
  }

  // The files of a folder, however deep, one part of a folder after the other, so that even a large tree takes little memory. told: file (a file
  // and its path), failed (a path and why), some (called at times), isOver (whether nobody wants more).
  function walk(entry, told) {
    return new Promise(function (resolve) {
      var name = entry.fullPath.replace(/^\//, '');
      function failed(problem) {
        told.failed(name, problem);
        resolve();
      }
      if (entry.isFile) {
        entry.file(function (file) {
          told.file(file, name);
          resolve();
        }, failed);
        return;
      }
      var reader = entry.createReader();
      (function more() {
        // A part of the folder at a time.
        reader.readEntries(function (found) {
          if (!found.length || told.isOver()) {
            resolve();
            return;
          }
          var files = found.filter(function (child) { return child.isFile; });
          found.filter(function (child) { return !child.isFile; }).reduce(function (before, child) {
            return before.then(function () { return walk(child, told); });
          }, Promise.all(files.map(function (child) { return walk(child, told); }))).then(function () {
            told.some();
            more();
          });
        }, failed);
      }());
    });
  }

  return { plural: plural, size: size, identify: identify, results: results, walk: walk };
}());
