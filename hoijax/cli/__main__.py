"""`python -m hoijax.cli VERB ...`, the same as the `hoijax` command."""

import sys

from hoijax.cli import main

if __name__ == "__main__":
    sys.exit(main())
