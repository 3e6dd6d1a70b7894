"""Import every module of the service once, in the image's build stage: `python3 -I load.py`.

That compiles what a server imports, and only that; at run time nothing can be written. And it shows that slimming took
away nothing that an import needs.
"""

import importlib
import importlib.util
import pkgutil

import service
import service.app  # these two must import without any extra
import service.cli.local


def main() -> None:
    """Import it all, but for what asks for a package of an extra that this image was built without."""
    for module in pkgutil.walk_packages(service.__path__, "service."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            package = (error.name or "service").partition(".")[0]
            if importlib.util.find_spec(package) is not None:
                raise


if __name__ == "__main__":
    main()
