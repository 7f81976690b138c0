"""livetask: the live output of Celery tasks in the browser, exact and resumable.

Importing this package loads nothing else: ``livetask.worker`` is the half that
runs inside a Celery worker, ``livetask.server`` the half that serves viewers, and
neither ever loads the other.
"""

__version__ = "0.1.0"
