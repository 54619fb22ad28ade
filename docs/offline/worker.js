// Keeps the files of the page, so that it opens without a network. What the server answers is not kept.
'use strict';

const NAME = 'dicouch-offline';
const FILES = ['./', 'offline.css', 'offline.js', 'pouchdb.min.js', 'dicouch-logic.js', 'dcmjs.min.js'];

self.addEventListener('install', event => {
  event.waitUntil(caches.open(NAME).then(cache => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));

// The network first, so that a newer page is taken where there is one.
self.addEventListener('fetch', event => {
  if (event.request.method === 'GET' && event.request.url.startsWith(self.registration.scope)) {
    event.respondWith(fetch(event.request).catch(() => caches.match(event.request, { ignoreSearch: true })));
  }
});
