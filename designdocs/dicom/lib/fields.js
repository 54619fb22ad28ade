// Which attributes a row of a search answer has (PS3.18 Tables 10.6.3-3 to 10.6.3-5).

// Present in every row, empty where the value is unknown.
var REQUIRED = {
  study: {
    '00080020': 'DA', '00080030': 'TM', '00080050': 'SH', '00080061': 'CS', '00080090': 'PN', '00100010': 'PN',
    '00100020': 'LO', '00100030': 'DA', '00100040': 'CS', '0020000D': 'UI', '00200010': 'SH'
  },
  series: { '00080060': 'CS', '0020000E': 'UI', '00200011': 'IS' },
  instance: { '00080016': 'UI', '00080018': 'UI', '00200013': 'IS' }
};

// Present where the data set has them.
var CONDITIONAL = {
  study: ['00080201'],
  series: ['00080201', '0008103E', '00400244', '00400245', '00400275'],
  instance: ['00080201', '00083002', '00280008', '00280010', '00280011', '00280100']
};

// A renderer of rows; `include` is 'all' or a list of tags that are wanted besides.
exports.renderer = function (level, include) {
  var required = REQUIRED[level];
  var wanted = Object.keys(required).concat(CONDITIONAL[level]);
  if (Array.isArray(include)) {
    include.forEach(function (tag) {
      if (wanted.indexOf(tag) < 0) {
        wanted.push(tag);
      }
    });
  }
  return function (dataset) {
    var row = {};
    (include === 'all' ? wanted.concat(Object.keys(dataset)) : wanted).sort().forEach(function (tag) {
      if (dataset[tag]) {
        row[tag] = dataset[tag];
      } else if (required[tag]) {
        row[tag] = { vr: required[tag] };
      }
    });
    // The answer is UTF-8 whatever the file was (PS3.18 F.2).
    row['00080005'] = { vr: 'CS', Value: ['ISO_IR 192'] };
    return row;
  };
};
