"""Run `fetal-planes-build` as `python -m model_build.cli`."""

import sys

from model_build.cli import main

if __name__ == "__main__":
    sys.exit(main())
