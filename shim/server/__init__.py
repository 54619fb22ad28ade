"""gunicorn and WSGI: settings, the worker of threads, proxy headers, Server-Timing."""
