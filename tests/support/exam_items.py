"""What an exam report says of the items of its protocol."""

from typing import Any


def labels(report: dict[str, Any], state: str) -> list[str]:
    """Return the labels of the items in one state."""
    return [item["label"] for item in report["items"] if item["state"] == state]
