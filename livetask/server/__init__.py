"""The half that serves viewers: it awaits, and never blocks.

What blocks (Celery, compressing) runs in threads. Only ``control`` knows Celery, only ``store`` opens a connection to
Redis. Never imports the worker half.
"""
