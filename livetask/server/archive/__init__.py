"""The archive: output that leaves Redis lives on as compressed files, under the same positions.

| room | does |
|---|---|
| members, parts, names | pure: how entries become gzip, what an object is called |
| shelf, directory, s3 | block: where objects lie; run in threads only |
| archive | awaits: reads what is on the shelf, with a small cache |
| store | awaits: the store whose reads go on in the archive; no reader knows the difference |
| archiver | awaits: the loop that moves output from Redis to the shelf |
| retention | awaits: takes away what is too old or too much, and what somebody wants gone |

A run is a row of parts, objects that are written whole and never change; a part is a row of gzip members. So ``cat`` of
a run's parts through ``zcat`` is its text, and a writer that dies leaves a whole part or none.
"""
