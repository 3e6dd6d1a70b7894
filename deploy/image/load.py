"""Import every module of the service once, in the image's build stage: `python3 -I load.py`.

The imports write the bytecode of everything that a server imports; at run time the file system is read-only. They also
fail where slim.py removed a file that an import needs.
"""

import importlib
import importlib.util
import pkgutil

import service
import service.app  # must load without any extra


def main() -> None:
    """Import every module except those that need a package of an extra that this image lacks."""
    for module in pkgutil.walk_packages(service.__path__, "service."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            package = (error.name or "service").partition(".")[0]
            if importlib.util.find_spec(package) is not None:
                raise


if __name__ == "__main__":
    main()
