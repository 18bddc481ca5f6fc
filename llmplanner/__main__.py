"""`python -m llmplanner`."""

import sys

from llmplanner.cli import main

if __name__ == "__main__":
    sys.exit(main())
