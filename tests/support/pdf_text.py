"""The text of each page of a PDF file as Chromium writes it (Skia: plain objects, fonts with a ToUnicode map).

No reader of PDF files is installed; this one knows only what Skia writes (PDF 32000-1, sections 9.4 and 9.10.3).
"""

import re
import unicodedata
import zlib
from collections.abc import Iterator

_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_TEXT = re.compile(rb"/(F\d+) [-\d.]+ Tf|<([0-9A-Fa-f]+)>(?=[^\]]*?T[jJ])", re.DOTALL)
_MAP = re.compile(rb"(\d+) beginbf(char|range)\n(.*?)endbf", re.DOTALL)


def pdf_pages(content: bytes) -> list[str]:
    """Return the text of each page without spaces, which are distances in a PDF file and no characters."""
    objects = {int(number): body for number, body in _OBJECT.findall(content)}
    pages = [body for body in objects.values() if re.search(rb"/Type /Page\b", body)]
    texts = (unicodedata.normalize("NFKC", "".join(_page_text(objects, page))) for page in pages)  # resolves ligatures
    return ["".join(text.split()) for text in texts]


def _page_text(objects: dict[int, bytes], page: bytes) -> Iterator[str]:
    fonts = {name: _to_unicode(objects, int(ref)) for name, ref in re.findall(rb"/(F\d+) (\d+) 0 R", page)}
    content = _stream(objects[_reference(rb"Contents", page)])
    font: dict[int, str] = {}
    for name, codes in _TEXT.findall(content):
        if name:
            font = fonts[name]
        else:
            yield "".join(font.get(int(codes[at : at + 4], 16), "") for at in range(0, len(codes), 4))


def _to_unicode(objects: dict[int, bytes], font: int) -> dict[int, str]:
    """Return the characters of a font's glyphs."""
    characters: dict[int, str] = {}
    for _, kind, lines in _MAP.findall(_stream(objects[_reference(rb"ToUnicode", objects[font])])):
        for line in lines.split(b"\n"):
            numbers = re.findall(rb"<([0-9A-Fa-f]+)>", line)
            if not numbers:
                continue
            first, last = int(numbers[0], 16), int(numbers[-2 if kind == b"range" else 0], 16)
            text = bytes.fromhex(numbers[-1].decode()).decode("utf-16-be")
            for code in range(first, last + 1):
                characters[code] = text[:-1] + chr(ord(text[-1]) + code - first)
    return characters


def _reference(key: bytes, body: bytes) -> int:
    found = re.search(rb"/" + key + rb" (\d+) 0 R", body)
    assert found, key
    return int(found[1])


def _stream(body: bytes) -> bytes:
    return zlib.decompress(body.split(b"stream\n", 1)[1].rsplit(b"\nendstream", 1)[0])
