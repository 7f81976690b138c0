"""``python -m livetask``: the same as the command ``livetask``."""

from livetask.cli import main

if __name__ == "__main__":
    main()
