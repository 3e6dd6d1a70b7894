"""What the makers of hostile files share."""

from collections.abc import Callable

Makers = dict[str, Callable[[], bytes]]

WIDTH, HEIGHT = 16_384, 1_953
"""The largest frame that the default limits permit: 32 megapixels, on the longest permitted side."""
