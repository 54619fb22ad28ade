// The list of studies says when there is something new. Without scripts, or without events, people load the page again.
(function () {
  'use strict';
  var place = document.getElementById('news');
  var source = null;
  var last = '';
  if (!place || !window.EventSource) {
    return;
  }

  function told(event) {
    last = event.lastEventId || last;
    place.hidden = false;
  }

  // A page that nobody looks at holds no connection: browsers have few to one server.
  function follow() {
    if (document.hidden && source) {
      source.close();
      source = null;
    } else if (!document.hidden && !source && place.hidden) {
      source = new window.EventSource(place.getAttribute('data-events') + '?kind=stored' +
        (last ? '&lastEventId=' + encodeURIComponent(last) : ''));
      source.addEventListener('stored', told);
      source.addEventListener('reset', told);
    }
  }

  document.addEventListener('visibilitychange', follow);
  follow();
}());
