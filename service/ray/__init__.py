"""The service on many machines, under Ray. Needs the extra `ray`; only the CLI and this package import it."""

import os


def disable_usage_stats() -> None:
    """Keep Ray from reporting its use to its maker; call this before `ray.init`.

    It affects processes that start afterwards. The nodes of a cluster need the same variable when they start.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
