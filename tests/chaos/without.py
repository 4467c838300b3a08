"""The command line without one of the guards.

python -m tests.chaos.without "same topic" run --config stream-ewma.yaml
"""

import sys

from stream_ewma.cli import main

from .guards import GUARDS

if __name__ == "__main__":
    GUARDS[sys.argv[1]].remove()
    sys.exit(main(sys.argv[2:]))
