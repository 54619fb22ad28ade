// The upload page in a browser: files and folders, sent as they lie on the disk, some requests of several files at a time.
// Without it the page is a plain form. lib/pages/upload.js makes the elements that are used here.
(function () {
  'use strict';

  // Of one store request: files, bytes. Requests at a time, files that are looked at ahead, rows that are shown.
  var MOST_FILES = 50, MOST_BYTES = 8 << 20, PARALLEL = 3, AHEAD = 200, ROWS = 50;
  // Milliseconds between two drawings; bytes in which the beginning of a file must say what it is.
  var PAUSE = 250, HEAD = 4096;
  var UNDER_WAY = ['waiting', 'ready', 'sending'];
  var NOT_STORED = ['refused', 'failed', 'cancelled'];
  var WORDS = {
    waiting: 'waiting', ready: 'waiting', sending: 'sending', stored: 'stored', refused: 'not stored', failed: 'failed',
    cancelled: 'cancelled'
  };

  var dicouch = window.dicouch, plural = dicouch.plural, size = dicouch.size;
  var work = document.getElementById('work');
  if (!work || !window.Promise || !window.Blob || !Blob.prototype.arrayBuffer) { return; }
  var reasons = JSON.parse(work.getAttribute('data-reasons'));
  var entries = [];      // all files, in the order in which they came
  var waiting = [];      // those that nobody has looked into yet, from `next` on
  var ready = [];        // those that can be sent
  var sending = [];      // requests that run
  var first = Object.create(null);        // by SOP Instance UID: the first file that has it
  var studies = {};      // by UID: how many instances were stored
  var walking = 0, looking = 0, next = 0, generation = 0, start = 0, done = 0, base = 0, place = 0, drawing = 0, announced = '';

  function at(id) { return document.getElementById(id); }

  function left() { return waiting.length - next; }

  function settle(entry, state, reason, isFinal) {
    entry.state = state;
    entry.reason = reason || '';
    entry.isFinal = Boolean(isFinal);
    entry.sent = state === 'stored' ? entry.file.size : 0;
    draw();
  }

  function look(entry) {
    if (!entry.file.size) {
      settle(entry, 'refused', 'the file is empty', true);
      return Promise.resolve();
    }
    var mine = generation;
    return entry.file.slice(0, HEAD).arrayBuffer().then(function (buffer) {
      if (mine !== generation || entry.state !== 'waiting') { return; }
      var uid = dicouch.identify(new Uint8Array(buffer));
      if (uid === null) {
        settle(entry, 'refused', 'not a DICOM file', true);
        return;
      }
      entry.uid = uid;
      entry.isAlone = entry.isAlone || !uid;
      if (uid && first[uid] && first[uid] !== entry) {
        entry.note = 'has the same SOP Instance UID as ' + first[uid].name;
      } else if (uid) { first[uid] = entry; }
      entry.state = 'ready';
      ready.push(entry);
    }, function (problem) {
      settle(entry, 'failed', 'the file cannot be read (' + problem.name + ')');
    });
  }

  // --- Sending ---

  function pump() {
    while (looking < 24 && left() && ready.length < AHEAD) {
      looking += 1;
      next += 1;
      look(waiting[next - 1]).then(function () {
        looking -= 1;
        pump();
      });
    }
    var batch;
    while (sending.length < PARALLEL && (batch = take())) { send(batch); }
    if (!isRunning()) { finish(); }
  }

  // The files of the next request, null while it is worth waiting for more of them.
  function take() {
    var batch = [], rest = [], uids = {}, bytes = 0, isFull = false;
    ready.forEach(function (entry) {
      var fits = !batch.length || (!entry.isAlone && !batch[0].isAlone && batch.length < MOST_FILES &&
        bytes + entry.file.size <= MOST_BYTES && !uids[entry.uid]);
      if (fits && !isFull) {
        batch.push(entry);
        uids[entry.uid] = true;
        bytes += entry.file.size;
      } else {
        isFull = true;
        rest.push(entry);
      }
    });
    if (!batch.length || (!isFull && !batch[0].isAlone && batch.length < MOST_FILES && bytes < MOST_BYTES && (left() || looking || walking))) {
      return null;
    }
    ready = rest;
    return batch;
  }

  function send(batch) {
    var boundary = 'dicouch-' + Array.prototype.map.call(crypto.getRandomValues(new Uint8Array(16)), function (byte) {
      return (byte + 256).toString(16).slice(1);
    }).join('');
    var pieces = [], offsets = [], length = 0;
    batch.forEach(function (entry) {
      var head = '\r\n--' + boundary + '\r\nContent-Type: application/dicom\r\n\r\n';
      length += head.length;
      offsets.push(length);
      length += entry.file.size;
      pieces.push(head, entry.file);
      entry.state = 'sending';
      entry.sent = 0;
      entry.reason = '';
    });
    pieces.push('\r\n--' + boundary + '--\r\n');
    var request = new XMLHttpRequest();
    request.open('POST', work.getAttribute('data-target'));
    request.setRequestHeader('Content-Type', 'multipart/related; type="application/dicom"; boundary=' + boundary);
    request.setRequestHeader('Accept', 'application/dicom+json');
    request.upload.onprogress = function (event) {
      batch.forEach(function (entry, index) {
        entry.sent = Math.max(0, Math.min(entry.file.size, event.loaded - offsets[index]));
      });
      draw();
    };
    request.onloadend = function () {
      sending.splice(sending.indexOf(request), 1);
      if (!request.isAborted) { (request.status ? answered : broken)(batch, request); }
      pump();
    };
    sending.push(request);
    request.send(new Blob(pieces));  // a list of places on the disk: nothing is read into memory
    draw();
  }

  function answered(batch, request) {
    var told;
    try { told = JSON.parse(request.responseText); } catch (problem) { told = {}; }
    var found = dicouch.results(batch, told, reasons);
    batch.forEach(function (entry, index) {
      var result = found && found[index];
      if (!found) {
        settle(entry, 'failed', 'the server answered ' + request.status + (told.reason ? ': ' + told.reason : ''));
      } else if (!result) {
        again(entry, true);  // what came of it cannot be told: alone it can
      } else {
        if (result.study) { studies[result.study] = (studies[result.study] || 0) + 1; }
        settle(entry, result.isStored ? 'stored' : 'refused', result.reason);
      }
    });
  }

  // No answer: is it one of the files, or the server?
  function broken(batch) {
    walking += 1;
    Promise.all(batch.map(function (entry) {
      return entry.file.slice(0, 1).arrayBuffer().then(function () { return true; }, function () { return false; });
    })).then(function (readable) {
      var isFile = readable.indexOf(false) >= 0;
      batch.forEach(function (entry, index) {
        if (entry.state !== 'sending') { return; }
        if (!readable[index]) {
          settle(entry, 'failed', 'the file cannot be read any more');
        } else if (isFile) {
          again(entry, entry.isAlone);
        } else { settle(entry, 'failed', 'no connection to the server, or it broke off'); }
      });
      walking -= 1;
      pump();
    });
  }

  function again(entry, isAlone) {
    entry.state = 'waiting';
    entry.reason = '';
    entry.sent = 0;
    entry.isAlone = isAlone;
    waiting.push(entry);
  }

  // --- Choosing ---

  function add(file, name) {
    var entry = { file: file, name: name || file.webkitRelativePath || file.name, state: 'waiting', reason: '', note: '', sent: 0 };
    entries.push(entry);
    waiting.push(entry);
  }

  function unreadable(name, problem) {
    entries.push({ file: new Blob([]), name: name, state: 'failed', reason: 'cannot be read (' + problem.name + ')', note: '', sent: 0, isFinal: true });
  }

  function walked() {
    var mine = generation;
    return {
      file: function (file, name) { if (mine === generation) { add(file, name); } },
      failed: unreadable,
      some: begin,
      isOver: function () { return mine !== generation; }
    };
  }

  function begin() {
    if (!start) {
      start = Date.now();
      done = 0;
      base = count().sent;
      announced = '';
    }
    work.hidden = false;
    draw();
    pump();
  }

  function chosen(event) {
    Array.prototype.forEach.call(event.target.files, function (file) { add(file); });
    event.target.value = '';
    begin();
  }

  function dropped(event) {
    event.preventDefault();
    over(false);
    var items = Array.prototype.slice.call(event.dataTransfer.items || []);
    // Now: behind the event the list is empty.
    var found = items.map(function (item) { return item.webkitGetAsEntry ? item.webkitGetAsEntry() : null; }).filter(Boolean);
    if (!found.length && !event.dataTransfer.files.length) {
      announce('What was dropped is neither a file nor a folder.');
      return;
    }
    if (!found.length) {
      chosen({ target: { files: event.dataTransfer.files } });
      return;
    }
    var told = walked();
    walking += 1;
    found.reduce(function (before, entry) {
      return before.then(function () { return dicouch.walk(entry, told); });
    }, Promise.resolve()).then(function () {
      walking -= 1;
      begin();
    });
    begin();
  }

  function isRunning() {
    return Boolean(walking || looking || left() || ready.length || sending.length);
  }

  function cancel() {
    generation += 1;
    waiting = [];
    next = 0;
    ready = [];
    entries.forEach(function (entry) {
      if (UNDER_WAY.indexOf(entry.state) >= 0) { settle(entry, 'cancelled'); }
    });
    sending.slice().forEach(function (request) {
      request.isAborted = true;
      request.abort();
    });
    pump();
  }

  function retry(chosenOnes) {
    chosenOnes.forEach(function (entry) {
      if (NOT_STORED.indexOf(entry.state) >= 0 && !entry.isFinal) {
        again(entry, entry.isAlone);
      }
    });
    start = 0;
    begin();
  }

  // --- Drawing: a bounded number of elements, at most four times a second ---

  function draw() {
    if (!drawing) {
      drawing = setTimeout(function () {
        requestAnimationFrame(function () {
          drawing = 0;
          show();
        });
      }, PAUSE);
    }
  }

  function put(element, words) {
    if (element.textContent !== words) { element.textContent = words; }
  }

  function announce(words) {
    if (words !== announced) {
      announced = words;
      put(at('told'), words);
    }
  }

  function count() {
    var told = { stored: 0, not: 0, again: 0, bytes: 0, sent: 0 };
    entries.forEach(function (entry) {
      var isNot = NOT_STORED.indexOf(entry.state) >= 0;
      told.stored += entry.state === 'stored';
      told.not += isNot;
      told.again += isNot && !entry.isFinal;
      told.bytes += entry.file.size;
      told.sent += isNot ? entry.file.size : entry.sent;
    });
    return told;
  }

  function finish() {
    if (start && entries.length) {
      var told = count();
      done = Date.now() - start;
      start = 0;
      show();
      announce(plural(told.stored, 'instance') + ' stored, ' + plural(told.not, 'file') + ' not stored.');
    }
  }

  function show() {
    var told = count(), isBusy = isRunning();
    var seconds = (start ? Date.now() - start : done) / 1000;
    var rate = seconds > 1 ? (told.sent - base) / seconds : 0;
    var left = isBusy && rate ? Math.ceil((told.bytes - told.sent) / rate) : 0;
    at('all').max = told.bytes || 1;
    at('all').value = told.sent;
    put(at('sum'), plural(entries.length, 'file') + (walking ? ' so far' : '') + ', ' + size(told.sent) + ' of ' + size(told.bytes) + '; ' +
      told.stored.toLocaleString() + ' stored, ' + told.not.toLocaleString() + ' not stored' + (rate ? '; ' + size(rate) + '/s' : '') +
      (left ? ', about ' + (left < 90 ? left + ' s' : Math.round(left / 60) + ' min') + ' left' : ''));
    at('cancel').disabled = !isBusy;
    at('retry').disabled = !told.again;
    put(at('retry'), 'Try again: ' + plural(told.again, 'file'));
    rows();
    links();
  }

  function rows() {
    var wanted = at('which').value;
    var list = wanted === 'all' ? entries : entries.filter(function (entry) {
      return wanted === 'stored' ? entry.state === 'stored' : (wanted === 'not' ? NOT_STORED : UNDER_WAY).indexOf(entry.state) >= 0;
    });
    place = Math.max(0, Math.min(place, Math.ceil(list.length / ROWS) * ROWS - ROWS));
    var shown = list.slice(place, place + ROWS), body = at('rows');
    while (body.rows.length < shown.length) { body.appendChild(at('row').content.cloneNode(true)); }
    while (body.rows.length > shown.length) { body.deleteRow(-1); }
    shown.forEach(function (entry, index) {
      var row = body.rows[index], cells = row.cells, bar = cells[2].firstElementChild, button = cells[4].firstElementChild;
      row.entry = entry;
      put(cells[0], entry.name);
      put(cells[1], size(entry.file.size));
      bar.hidden = entry.state !== 'sending';
      bar.max = entry.file.size || 1;
      bar.value = entry.sent;
      put(cells[2].lastElementChild, WORDS[entry.state]);
      put(cells[3], [entry.reason, entry.note].filter(Boolean).join('; '));
      button.hidden = NOT_STORED.indexOf(entry.state) < 0 || Boolean(entry.isFinal);
      button.setAttribute('aria-label', 'Try again: ' + entry.name);
    });
    put(at('range'), list.length ? (place + 1) + '\u2013' + (place + shown.length) + ' of ' + list.length.toLocaleString() : 'none');
    at('back').disabled = !place;
    at('on').disabled = place + ROWS >= list.length;
  }

  function links() {
    var uids = Object.keys(studies).slice(0, 100), list = at('stored');
    at('studies').hidden = !uids.length;
    uids.forEach(function (uid, index) {
      var line = list.children[index];
      if (!line) {
        line = list.appendChild(document.createElement('li'));
        line.appendChild(document.createElement('a'));
        line.appendChild(document.createElement('span'));
        line.firstChild.href = work.getAttribute('data-studies') + '/' + encodeURIComponent(uid);
        put(line.firstChild, uid);
      }
      put(line.lastChild, ' ' + plural(studies[uid], 'instance'));
    });
  }

  // --- What people do ---

  function over(isOver) { at('drop').style.outline = isOver ? '3px dashed' : ''; }

  function turn(by) {
    return function () {
      place += by;
      show();
    };
  }

  var head = at('rows').parentNode.tHead.rows[0].cells;
  ['32%', '9%', '14%', '33%', '12%'].forEach(function (width, index) { head[index].style.width = width; });
  at('rows').parentNode.style.tableLayout = 'fixed';
  at('send').hidden = true;
  at('all').style.width = '100%';
  at('how').hidden = false;
  Array.prototype.forEach.call(document.querySelectorAll('input[type=file]'), function (input) { input.addEventListener('change', chosen); });
  document.addEventListener('dragover', function (event) {
    event.preventDefault();
    over(true);
  });
  document.addEventListener('dragleave', function (event) {
    if (!event.relatedTarget) { over(false); }
  });
  document.addEventListener('drop', dropped);
  at('form').addEventListener('submit', function (event) { event.preventDefault(); });
  at('cancel').addEventListener('click', cancel);
  at('retry').addEventListener('click', function () { retry(entries); });
  at('which').addEventListener('change', turn(-Infinity));
  at('back').addEventListener('click', turn(-ROWS));
  at('on').addEventListener('click', turn(ROWS));
  at('rows').addEventListener('click', function (event) {
    if (event.target.tagName === 'BUTTON') { retry([event.target.closest('tr').entry]); }
  });
  window.addEventListener('beforeunload', function (event) {
    if (isRunning()) {
      event.preventDefault();
      event.returnValue = '';
    }
  });
}());
