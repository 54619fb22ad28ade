function (doc) {
  // Workitems by what they are searched by, each in any state and in its own: [which key, value, state, start, UID].
  if (doc.type !== 'workitem' || !doc.dataset) {
    return;
  }
  function values(tag, inner) {
    var attribute = doc.dataset[tag];
    return (attribute && Array.isArray(attribute.Value) ? attribute.Value : []).map(function (value) {
      var code = value && inner ? value[inner] : null;
      return inner ? code && Array.isArray(code.Value) ? code.Value[0] : null : value;
    }).filter(function (value) {
      return typeof value === 'string';
    }).map(function (value) {
      return value.replace(/^ +| +$/g, '');
    });
  }
  var start = values('00404005')[0] || '';
  var state = values('00741000')[0] || '';
  var uid = doc._id.replace(/^workitem-/, '');
  function keys(name, list) {
    list.forEach(function (value, i) {
      if (list.indexOf(value) === i) {
        emit([name, value, '', start, uid], null);
        emit([name, value, state, start, uid], null);
      }
    });
  }
  keys('all', ['']);
  keys('patient', values('00100020'));
  keys('code', values('00404018', '00080100'));
  keys('station', values('00404025', '00080100'));
  keys('label', values('00741202'));
}
