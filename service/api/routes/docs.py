"""`GET /docs`: the interface on one page, made from the OpenAPI document; no script, and nothing from elsewhere."""

import base64
import hashlib
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.errors import TABLE

router = APIRouter()

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { padding: .75rem; overflow-x: auto; border: 1px solid #8886; border-radius: .4rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .25rem .6rem; text-align: left; vertical-align: top }
tr { border-bottom: 1px solid #8886 } h2 { margin-top: 2.5rem }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"

_EXAMPLES = """curl -F file=@frame.png {base}classify
curl --data-binary @frame.png '{base}explain?target=fetal_brain&amp;overlay=false'
curl -F file=@frame.png -H 'Accept: image/jpeg' -o overlay.jpg {base}explain"""


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Every route with its parameters and replies, and every problem."""
    document = request.app.openapi()
    routes = "".join(
        _operation(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>Research use only. Not a medical device.</p>"
        f"<pre>{_EXAMPLES.format(base=escape(str(request.base_url)))}</pre>"
        f"<p>The same for machines: <a href=openapi.json>openapi.json</a>.</p>{routes}{_problems()}</html>",
        headers={"Content-Security-Policy": _POLICY},
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("description", "")
    replies = [(status, reply["description"]) for status, reply in operation["responses"].items()]
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{_text(operation['description'])}</p>"
        + (f"<p>{_text(body)}</p>" if body else "")
        + _table("Parameter", [(_name(each), _meaning(each)) for each in operation.get("parameters", [])])
        + _table("Reply", replies)
    )


def _name(parameter: dict[str, Any]) -> str:
    return f"`{parameter['name']}` in {parameter['in']}"


def _meaning(parameter: dict[str, Any]) -> str:
    default = parameter["schema"].get("default")
    return f"{parameter.get('description', '')}" + (
        f" Default: `{str(default).lower()}`." if default is not None else ""
    )


def _problems() -> str:
    rows = [(f"`{kind.status}` `{code}`", kind.meaning) for code, kind in TABLE.items()]
    return "<h2>Problems</h2>" + _table("Problem", rows)


def _table(head: str, rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr><td>{_text(name)}<td>{_text(meaning)}" for name, meaning in rows)
    return f"<table><tr><th>{head}<th>Meaning{lines}</table>"


def _text(markdown: str) -> str:
    """Text with `code` in it, as HTML."""
    pieces = escape(markdown).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
