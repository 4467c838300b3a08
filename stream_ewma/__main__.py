"""`python -m stream_ewma` is the command `stream-ewma`."""

import sys

from stream_ewma.cli import main

if __name__ == "__main__":
    sys.exit(main())
