"""The same engine on many machines, under Ray; needs the extra `ray`."""

import os

# Ray reports its use to its maker, unless this is set before it loads. (On a node of a cluster: before that starts.)
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
