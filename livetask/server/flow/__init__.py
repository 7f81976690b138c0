"""Workflows: the tasks that belong together by their root, and their logs as one."""
