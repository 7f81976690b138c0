"""What stands between the server and a hostile web: whose requests are taken at all, and what answers forbid.

`suit` puts it together. None of its rooms knows Redis, Celery, or what a route is for.
"""
