// The pages of conflicts: the list of studies, and one study with a form for each attribute that disagrees.
var html = require('lib/pages/html');
var typed = require('lib/fixes/typed');
var limits = require('tables/limits');

var esc = html.escape;
var MOST_VALUES = 100;
var HINTS = {
  AS: 'such as 042Y', CS: 'capital letters, digits, blank, underscore', DA: 'YYYY-MM-DD', DT: 'YYYYMMDDHHMMSS',
  PN: 'Family^Given^Middle^Prefix^Suffix', TM: 'HH:MM:SS'
};

function plural(number, one, many) {
  return number + ' ' + (number === 1 ? one : many);
}

function tagText(tag) {
  return '(' + tag.slice(0, 4) + ',' + tag.slice(4) + ')';
}

function shown(text) {
  return text === '' ? '<span class="note">(no value)</span>' :
    '<span class="value' + (text.length > 500 ? ' long' : '') + '">' + esc(text) + '</span>';
}

function when(at) {
  return esc(String(at).slice(0, 19).replace('T', ' ') + ' UTC');
}

// Pages that the database serves itself have no others beside them.
function frame(query) {
  return { root: query.ui ? html.rootOf(query.ui) : undefined, here: 'conflicts' };
}

function studyLink(ui, study) {
  return ui ? ui + '/' + encodeURIComponent(study) : '../conflict/_all_docs?' + html.studyRange(study);
}

// query: state, next (key of the first row behind the page), ui.
exports.list = function (studies, query) {
  var fixed = query.state === 'fixed';
  function listLink(state, from) {
    if (query.ui) {
      return query.ui + '?state=' + state + (from ? '&from=' + encodeURIComponent(JSON.stringify(from)) : '');
    }
    return 'conflicts_by_date?reduce=false&include_docs=true&descending=true&startkey=' +
      encodeURIComponent(JSON.stringify(from || [state, limits.highest])) + '&endkey=' + encodeURIComponent(JSON.stringify([state]));
  }
  var body = '<p><a href="' + esc(listLink('open')) + '"' + (fixed ? '' : ' aria-current="page"') + '>Studies that disagree</a>' +
    ' \u00b7 <a href="' + esc(listLink('fixed')) + '"' + (fixed ? ' aria-current="page"' : '') + '>Corrected</a></p>\n';
  if (!studies.length) {
    body += '<p>' + (fixed ? 'Nothing is corrected.' : 'No study disagrees.') + '</p>';
  } else {
    body += '<table><thead><tr><th scope="col">Study</th><th scope="col">Attributes</th></tr></thead><tbody>\n' +
      studies.map(function (study) {
        return '<tr><td><a class="value" href="' + esc(studyLink(query.ui, study.study)) + '">' +
          esc(study.summary || study.study) + '</a></td><td>' + study.attributes.map(function (one) {
            return esc(one.name) + (one.series ? ' <span class="note">in series ' + esc(one.series) + '</span>' : '');
          }).join('<br>') + '</td></tr>\n';
      }).join('') + '</tbody></table>\n';
  }
  if (query.next) {
    body += '<p><a rel="next" href="' + esc(listLink(fixed ? 'fixed' : 'open', query.next)) + '">Older studies</a></p>';
  }
  return html.page(fixed ? 'Corrected studies' : 'Studies that disagree', body, frame(query));
};

function action(query, study, series) {
  if (query.ui) {
    return query.ui + '/' + encodeURIComponent(study);
  }
  return '../../_update/fix/' + encodeURIComponent(study + ':' + (series || 'study'));
}

function nameField(query, id) {
  var user = query.user || '';
  return '<p><label for="' + id + '-by">Your name</label> <input type="text" id="' + id + '-by" name="by" maxlength="100" ' +
    'autocomplete="name" ' + (user ? 'placeholder="' + esc(user) + '"' : 'required') + '></p>\n';
}

function patientField(query, id, isOfPatient) {
  // An _update function changes one document: several studies are the shim's part.
  return isOfPatient && query.ui ? '<p><label><input type="checkbox" name="scope" value="patient"> ' +
    'For all studies of this patient</label></p>\n' : '';
}

function opening(query, report, id, series, tag, seen) {
  return '<form id="' + id + '" method="post" action="' + esc(action(query, report.study, series)) + '">' +
    (query.token ? '<input type="hidden" name="token" value="' + esc(query.token) + '">' : '') +
    '<input type="hidden" name="tag" value="' + esc(tag) + '">' +
    '<input type="hidden" name="series" value="' + esc(series || '') + '">' +
    (seen === null ? '' : '<input type="hidden" name="seen" value="' + esc(seen) + '">');
}

function otherField(id, one) {
  var hint = HINTS[one.vr] || '';
  return '<p><label><input type="radio" name="choice" value="other" id="' + id + '-other"> Another value</label> ' +
    '<input type="text" name="other" maxlength="70000" data-chooses="' + id + '-other" aria-label="Another value of ' + esc(one.name) +
    '"> <span class="note">' + one.vr + (hint ? ': ' + hint : '') + '</span></p>\n';
}

function form(query, report, one, index) {
  var id = 'a' + index;
  var text = opening(query, report, id, one.series, one.tag, one.fix ? one.fix.id : '') +
    '<fieldset><legend>' + esc(one.name) + ' <span class="note">' + tagText(one.tag) + '</span></legend>\n';
  if (one.series) {
    text += '<p class="note">Series ' + esc(one.series) + ': ' + esc(report.series[one.series]) + '</p>';
  }
  if (one.fix) {
    text += '<p>Corrected by ' + esc(one.fix.by) + ', ' + when(one.fix.at) + '.</p>';
  }
  text += '<table><thead><tr><th scope="col">Value</th><th scope="col">Series</th><th scope="col">Instances</th></tr></thead><tbody>\n';
  one.values.slice(0, MOST_VALUES).forEach(function (entry) {
    text += '<tr><td><label><input type="radio" name="choice" required value="' + esc(JSON.stringify(entry.value)) + '"' +
      (entry.current ? ' checked' : '') + '> ' + shown(entry.text) + (entry.current ? ' <span class="note">current</span>' : '') +
      '</label></td><td>' + entry.series + '</td><td>' + entry.instances + '</td></tr>\n';
  });
  text += '</tbody></table>\n';
  if (one.values.length > MOST_VALUES) {
    text += '<p class="note">and ' + plural(one.values.length - MOST_VALUES, 'further value', 'further values') + '</p>';
  }
  if (typed.can(one.vr)) {
    text += otherField(id, one);
  }
  return text + patientField(query, id, one.patient) + nameField(query, id) +
    '<p><button type="submit" name="action" value="save">Save</button>' +
    (one.fix ? '<button type="submit" name="action" value="undo">Undo</button>' : '') + '</p></fieldset></form>\n';
}

// A form for attributes that do not disagree: they may be wrong, too.
function furtherForm(query, report) {
  var id = 'further';
  return '<h2>Correct another attribute</h2>\n' + opening(query, report, id, null, '', null).replace(/<input type="hidden" name="tag"[^>]*>/, '') +
    '<fieldset><legend>An attribute of the study</legend><p><label for="' + id + '-tag">Attribute</label> ' +
    '<select id="' + id + '-tag" name="tag" required><option value="">choose</option>' + report.others.map(function (one) {
      var text = one.text.length > 40 ? one.text.slice(0, 40) + '\u2026' : one.text;
      return '<option value="' + one.tag + '">' + esc(one.name + (text ? ': ' + text : '')) + '</option>';
    }).join('') + '</select></p>\n<input type="hidden" name="choice" value="other">' +
    '<p><label for="' + id + '-other">Value</label> <input type="text" id="' + id + '-other" name="other" maxlength="70000"></p>\n' +
    patientField(query, id, true) + nameField(query, id) +
    '<p><button type="submit" name="action" value="save">Save</button></p></fieldset></form>\n';
}

// What replication found: docs/replication.md tells how to choose another one.
function differing(report) {
  if (!report.instances.length) {
    return '';
  }
  return '<h2>Instances of which servers stored different content</h2>\n<p class="note">One is read, all are kept.</p>\n' +
    '<table><thead><tr><th scope="col">Instance</th><th scope="col">Stored</th><th scope="col">Revision that is read</th>' +
    '<th scope="col">Others</th></tr></thead><tbody>\n' + report.instances.map(function (one) {
    return '<tr><td>' + esc(one.instance.split(':').slice(1).join(' ')) + '</td><td>' + when(one.stored) + '</td><td>' +
      esc(one.current) + '</td><td>' + esc(one.others.join(', ')) + '</td></tr>\n';
  }).join('') + '</tbody></table>\n';
}

function history(report) {
  if (!report.history.length) {
    return '';
  }
  return '<h2>History</h2>\n<table><thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">Attribute</th>' +
    '<th scope="col">From</th><th scope="col">To</th></tr></thead><tbody>\n' + report.history.map(function (event) {
    var who = esc(event.by) + (event.user && event.user !== event.by ? ' <span class="note">as ' + esc(event.user) + '</span>' : '');
    return '<tr><td>' + when(event.at) + '</td><td>' + who + '</td><td>' + esc(event.name) +
      (event.action === 'undo' ? ' <span class="note">undone</span>' : '') +
      (event.series ? ' <span class="note">series ' + esc(event.series) + '</span>' : '') +
      '</td><td>' + shown(typed.text(event.from)) + '</td><td>' + shown(typed.text(event.to)) + '</td></tr>\n';
  }).join('') + '</tbody></table>\n';
}

// query: ui, user, done (tag that was saved), problem (why it was not), token (which proves that a form is of this page).
exports.study = function (report, query) {
  var body = '<p class="value">' + esc(report.summary) + '<br><span class="note">' + esc(report.study) + '</span></p>\n' +
    '<p><a href="' + esc(query.ui || '../conflicts/conflicts_by_date?reduce=false&include_docs=true&descending=true') +
    '">All studies that disagree</a>' + (query.ui ? ' \u00b7 <a href="' + esc(html.rootOf(query.ui) + '/ui/studies/' +
      encodeURIComponent(report.study)) + '">What the study holds</a>' : '') + '</p>\n';
  if (query.problem) {
    body += '<p role="alert" tabindex="-1" autofocus class="value">Not saved: ' + esc(query.problem) + '</p>\n';
  } else if (query.done) {
    body += '<p role="status" tabindex="-1" autofocus class="value">' + esc(query.done) + '</p>\n';
  }
  if (!query.ui) {
    body += '<p class="note">A CouchDB with its usual settings shows this page in a sandbox in which nothing can be saved: ' +
      'open it through the DICOMweb server, at /ui/conflicts, or see docs/conflicts.md.</p>\n';
  }
  body += report.attributes.length ? report.attributes.map(function (one, index) {
    return form(query, report, one, index);
  }).join('') : '<p>The instances of this study agree.</p>\n';
  return html.page('Values that disagree', body + differing(report) + furtherForm(query, report) + history(report), frame(query));
};

exports.missing = function (query) {
  return html.page('No such study', '<p>There is no study with this UID.</p>', frame(query));
};

