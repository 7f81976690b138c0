"""``make bench``: what livetask's way costs, measured beside other ways to do the same, in one interleaved run.

Five measurements (fanout, replay, storm, append, idle) run over several ways (``ways``) in the order of a ``plan``, by
turns and several times, so that a change of the machine's mood meets all of them alike. ``running`` goes through it:
what fails is noted, and the next begins. ``kept`` keeps what was found, ``document`` makes tables of it, ``goals`` says
which goals it meets. The programs that take part are processes of their own:

| module | the part it plays |
|---|---|
| writing | the worker: appends lines by one way (``writers``), as fast as it can or at a rate |
| servers | the web server of the ways that are not livetask |
| native_programs | the viewers and the floor in C, compiled when first needed: one light process for all viewers |
| load | the same viewers where there is no C compiler |
| processes | starts and ends all of these, and reads what they cost from the kernel |

Nothing here passes or fails by a figure; ``test_bench`` shows that the harness itself counts right. Linux only: the
cost of a process is read from its CPU clock and from /proc. Traffic stays on 127.0.0.1, and every process has a time
limit.
"""
