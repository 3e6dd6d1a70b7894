"""A visit to the page: what a person would do, and a record of every error that the browser reports."""

import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from tests.system.browser.page_states import Upload, rendered, until, upload

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Request

_DESKTOP = {"width": 1280, "height": 800}
_EXPECTED = re.compile(  # logged by the browser for refused requests and for a service that is down
    r"status of (4\d\d|50[234])|net::ERR_(FAILED|CONNECTION_\w+|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING)"
)


class Visit:
    """A page in its own browser context."""

    def __init__(self, browser: "Browser", address: str, options: dict[str, Any]) -> None:
        self.address = address
        self.context = browser.new_context(**{"viewport": _DESKTOP, "reduced_motion": "reduce", **options})
        self.context.set_default_timeout(60_000)  # a busy machine takes long to load a page
        self.errors: list[str] = []
        self.requests: list[Request] = []
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self._record(message.type, message.text))
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.goto(address)

    def _record(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not _EXPECTED.search(text):
            self.errors.append(text)

    def close(self) -> None:
        """End the visit; check that no script failed, no policy was broken and no other host was contacted."""
        hosts = {urlsplit(request.url).netloc for request in self.requests if request.url.startswith("http")}
        self.context.close()
        assert not self.errors, self.errors
        assert hosts == {urlsplit(self.address).netloc}, hosts

    def add(self, *uploads: Upload, settle: bool = True) -> None:
        """Choose files."""
        self.page.set_input_files("#files", list(uploads))
        if settle:
            self.settle()

    def settle(self) -> None:
        """Wait until every frame is classified and the selected frame is shown with its heat map."""
        self.page.evaluate("new Promise((done) => setTimeout(done, 100))")  # the list is drawn 50 ms after a click
        self.until("!document.querySelector('.tile[data-kind=waiting], .tile[data-kind=running]')")
        self.until(
            "!document.querySelector('#picture.stale:not([hidden])') && document.querySelector('#progress').hidden"
        )
        self.until(
            "document.querySelector('#planes').hidden || /^(Evidence|Weak evidence|No evidence|No heat)/.test("
            "document.querySelector('#evidence').textContent)"
        )
        rendered(self.page)  # the canvas is drawn with the browser's next animation frame

    def until(self, condition: str) -> None:
        until(self.page, condition)

    def text(self, selector: str) -> str:
        return " ".join(self.page.locator(selector).inner_text().split())

    def tiles(self) -> list[str]:
        # Not `innerText`, which is empty outside the visible part of the list.
        words = "all => all.map((tile) => [...tile.querySelectorAll('.tile-text > span')].map((e) => e.textContent))"
        return [" ".join(" ".join(each).split()) for each in self.page.locator("#tiles .tile").evaluate_all(words)]

    def picture(self) -> NDArray[np.uint8]:
        """Return the pixels of the large canvas, uint8 [H, W, 3], channels red, green, blue."""
        width, height, data = self.page.evaluate(
            """() => {
              const canvas = document.querySelector("#picture");
              const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
              copy.drawImage(canvas, 0, 0);
              const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
              let text = "";
              for (let at = 0; at < pixels.length; at += 8192) {
                text += String.fromCharCode(...pixels.subarray(at, at + 8192));
              }
              return [canvas.width, canvas.height, btoa(text)];
            }"""
        )
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]

    def slide(self, selector: str, value: int) -> None:
        """Move a slider, which fires its `input` event."""
        self.page.locator(selector).fill(str(value))
        rendered(self.page)

    def emulate(self, **media: Any) -> None:
        """Change what the page knows of its surroundings: `media`, `color_scheme`."""
        self.page.emulate_media(**media)
        rendered(self.page)

    def resize(self, width: int, height: int = 800) -> None:
        """Change the size of the window."""
        self.page.set_viewport_size({"width": width, "height": height})
        rendered(self.page)

    def drop(self, uploads: Sequence[Upload], kind: str = "drop") -> None:
        """Drop files on the page, or paste them."""
        files = [(each["name"], base64.b64encode(each["buffer"]).decode()) for each in uploads]
        self.page.evaluate(
            """([kind, files]) => {
              const data = new DataTransfer();
              for (const [name, text] of files) {
                data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
              }
              const event = kind === "paste"
                ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
                : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
              document.body.dispatchEvent(event);
            }""",
            [kind, files],
        )

    def focused(self) -> str:
        """Return the id of the focused element, or its text if it has none."""
        return str(self.page.evaluate("document.activeElement.id || document.activeElement.innerText"))


__all__ = ["Upload", "Visit", "upload"]
