"""Starts livetask in this checkout: ``python run.py all|web|worker|redis``; ``make run`` sets it up first."""

from __future__ import annotations

import sys
from pathlib import Path

from livetask.service.parts import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
