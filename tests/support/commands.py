"""Commands of `fetal-planes` in a process of their own, where a locale, an environment or all output is tested."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.paths import ROOT

_PROGRAM = """
import sys
from service import cli
worst, words = 0, sys.argv[1:]
while words:
    end = words.index("--end")
    worst = max(worst, cli.main(words[:end]))
    del words[:end + 1]
sys.exit(worst)
"""


def run_commands(
    commands: Sequence[Sequence[str | Path]], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run commands, one after another, in one new process, whose start costs more than most commands.

    The exit code is the largest of all commands.
    """
    words = [str(word) for command in commands for word in (*command, "--end")]
    program = [sys.executable, "-c", _PROGRAM, *words]
    return subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, check=False)
