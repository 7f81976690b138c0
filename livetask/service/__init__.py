"""Running livetask on one machine: the embedded Redis or Valkey, and the supervisor of its processes.

Knows processes, ports and folders; knows nothing of tasks, output or viewers.
"""
