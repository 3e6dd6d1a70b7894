"""The store of corrections: a database, and a folder of frames if the operator wants one. Needs the extra `store`."""

from typing import TYPE_CHECKING

from service.site_secret import SiteSecret
from service.store.options import StoreError, StoreOptions

if TYPE_CHECKING:
    from service.store.store import Store


def open_store(options: StoreOptions) -> "Store":
    """Return the store; nothing connects to the database yet. Raises `StoreError` and `SiteSecretError`."""
    if options.secret is None:
        raise StoreError("FETAL_PLANES_STORE needs FETAL_PLANES_STORE_SECRET, the file of the site's secret")
    secret = SiteSecret.read(options.secret)
    try:
        from service.store.database import Database
        from service.store.frames import FrameFolder
        from service.store.store import Store
    except ModuleNotFoundError as error:
        raise StoreError(
            f"FETAL_PLANES_STORE needs the extra `store`, and {error.name} is not installed: "
            "pip install 'fetal-planes[store]'"
        ) from error
    folder = None if options.frames is None else FrameFolder.open(options.frames, options.frames_bytes)
    return Store(Database(options.url), secret, options.retention, folder)
