function (doc, req) {
  // Which of the data sets that the shim sends match: { match: keys as a tree (lib/match/match), datasets }. A list function is
  // told rows one by one, and each takes longer than the matching.
  var asked = require('lib/search/request').body(req);
  var matches = require('lib/match/match').compile(asked.match);
  return {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ matches: asked.datasets.map(function (dataset) { return matches(dataset); }) })
  };
}
