"""Import every module of the service once, in the image's build stage: `python3 -I load.py`.

The imports compile exactly the modules that a server uses, because the root is read-only at run time. They also show
that `slim.py` removed nothing that an import needs.
"""

import importlib
import importlib.util
import pkgutil

import service
import service.app  # these two must import without any extra
import service.cli.local


def main() -> None:
    """Import all modules except those that need a package of an omitted extra."""
    for module in pkgutil.walk_packages(service.__path__, "service."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            package = (error.name or "service").partition(".")[0]
            if importlib.util.find_spec(package) is not None:
                raise


if __name__ == "__main__":
    main()
