"""The folders of this process's cgroup, which hold the limits of its container."""

from pathlib import Path


def cgroup_folders(controller: str, root: Path = Path("/")) -> list[Path]:
    """Return the folders of the process's cgroup and its parents for a controller such as `memory`, in both versions.

    In a container, the path may be the host's, while only the root of the mount is visible: a folder may not exist.
    `root` holds `/proc` and `/sys`.
    """
    mount = root / "sys/fs/cgroup"
    folders: list[Path] = []
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        below = Path(path.lstrip("/"))
        levels = [below, *below.parents]
        if not controllers:  # version 2
            folders += [mount / level for level in levels]
        elif controller in controllers.split(","):  # version 1; its folder has the name of one controller, or of all
            names = dict.fromkeys((controller, controllers))
            folders += [mount / name / level for name in names for level in levels]
    return folders


def read_text(path: Path) -> str:
    """Return the text of a file without the space around it, empty where it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
