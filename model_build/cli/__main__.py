"""Run `fetal-planes-build` as `python -m model_build.cli`."""

from model_build.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
