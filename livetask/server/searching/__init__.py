"""Looking through a run's whole output on the server: search, and the marks by which a page folds and jumps.

Both read from a position to a position, so an answer may stop when its time is up and be gone on with, and what a
running task has printed since is found by asking again from where the last answer ended. What looks at the text works
in a process of its own (``finder``), because patterns are users' and may take long.
"""
