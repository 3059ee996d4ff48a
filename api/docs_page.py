"""/docs: the OpenAPI document as a page to read. It is whole in itself: no script, no font and no picture of another
host, so that it can be read without a network, and so that nobody else's code runs where people have API keys."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI, Request, Response

Node = Mapping[str, Any]

_LIMITS = ("default", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern")

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f3f3f3; border-radius: 3px }
code { padding: 0 .2em; overflow-wrap: anywhere } pre { padding: .6em; overflow-x: auto }
table { border-collapse: collapse; width: 100% } td, th { border-top: 1px solid #ddd; padding: .3em .6em; text-align: left; vertical-align: top }
h2 { margin-top: 2.5rem } details { border-top: 1px solid #ddd; padding: .5em 0 } summary { cursor: pointer }
summary b { display: inline-block; min-width: 4em } a { color: #0b5 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616 } code, pre { background: #262626 } td, th, details { border-color: #333 } }
"""  # noqa: E501
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def install(app: FastAPI) -> None:
    rendered: list[str] = []

    async def docs(request: Request) -> Response:
        if not rendered:
            rendered.append(page(app.openapi()))
        return Response(rendered[0], headers=_HEADERS, media_type="text/html")

    app.add_route("/docs", docs, methods=["GET"], include_in_schema=False)


def page(document: Node) -> str:
    info = document["info"]
    title = escape(info["title"])
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{title}</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head><body>',
            f"<h1>{title}</h1><p>{escape(info['description'])}</p>",
            '<p>The same for programs: <a href="openapi.json">openapi.json</a>. Where the farm has API keys, send '
            "yours as <code>Authorization: Bearer &lt;key&gt;</code>. HEAD answers wherever GET does. Every refusal is "
            f"a {_link('Problem')}.</p>",
            *_operations(document),
            "<h2>Shapes</h2>",
            *(_shape(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
            "</body></html>",
        )
    )


def _operations(document: Node) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = next(iter(operation.get("tags", ())), "")
            by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    for tag, rendered in by_tag.items():
        yield f"<h2>{escape(tag.capitalize())}</h2>"
        yield from rendered


def _operation(method: str, path: str, operation: Node) -> str:
    said = escape(operation.get("description") or operation.get("summary", ""))
    parts = [f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code></summary><p>{_marked(said)}</p>"]
    parameters = operation.get("parameters", ())
    if parameters:
        rows = "".join(
            _row(each["name"], f"{each['in']}, {_kind(each)}", each, each.get("required", False)) for each in parameters
        )
        parts.append(f"<table>{rows}</table>")
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Body, <code>{escape(kind)}</code>: {_type(body['schema'])}</p>{_fields(body['schema'])}")
        if "example" in body:
            parts.append(f"<pre>{escape(json.dumps(body['example'], indent=2))}</pre>")
    return "".join((*parts, f"<table>{_answers(operation['responses'])}</table></details>"))


def _answers(responses: Node) -> str:
    """A row for each kind of answer, with all the statuses that are answered so."""
    alike: dict[tuple[str, str], list[str]] = {}
    for status, answer in sorted(responses.items()):
        alike.setdefault((answer["description"], _content(answer)), []).append(f"<code>{escape(status)}</code>")
    return "".join(
        f"<tr><td>{' '.join(statuses)}</td><td>{escape(said)}</td><td>{content}</td></tr>"
        for (said, content), statuses in alike.items()
    )


def _content(answer: Node) -> str:
    shown: dict[str, list[str]] = {}
    for kind, body in answer.get("content", {}).items():
        shown.setdefault(_type(body.get("schema", {})), []).append(f"<code>{escape(kind)}</code>")
    return "; ".join(f"{' '.join(kinds)} {schema}" for schema, kinds in shown.items())


def _shape(name: str, schema: Node) -> str:
    said = _marked(escape(schema.get("description", "")))
    values = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", ()))
    return f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{said} {values}</p>{_fields(schema)}'


def _fields(schema: Node) -> str:
    required = schema.get("required", ())
    rows = "".join(
        _row(name, _type(field), field, name in required) for name, field in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _row(name: str, kind: str, field: Node, required: bool) -> str:
    said = [_marked(escape(field.get("description", "")))]
    limits = {**field.get("schema", field)}
    said += [f"{escape(key)} {escape(json.dumps(limits[key]))}" for key in _LIMITS if limits.get(key) is not None]
    needed = " <b>required</b>" if required else ""
    shown = "; ".join(part for part in said if part)
    return f"<tr><td><code>{escape(name)}</code></td><td>{kind}{needed}</td><td>{shown}</td></tr>"


def _type(schema: Node) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    for kind in ("anyOf", "oneOf", "allOf"):
        if kind in schema:
            return " or ".join(_type(option) for option in schema[kind])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return escape(f"{kind} ({schema['format']})" if "format" in schema else str(kind))


def _kind(parameter: Node) -> str:
    if "schema" in parameter:
        return _type(parameter["schema"])
    ((kind, body),) = parameter["content"].items()
    return f"<code>{escape(kind)}</code> {_type(body['schema'])}"


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _marked(text: str) -> str:
    """Backticks of docstrings as code; what stands in them is escaped already."""
    pieces = text.split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
