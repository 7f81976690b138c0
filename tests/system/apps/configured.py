"""The app of ``sixfold`` with livetask's Redis named in its configuration, as users of another broker do it."""

from __future__ import annotations

import os

from tests.system.apps.sixfold import app

app.conf.livetask_redis_url = os.environ["SYSTEM_LIVETASK_REDIS_URL"]
