"""The docs page: self-contained HTML, drawn from the OpenAPI document and what is loaded. No script, no CDN."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from headgate.api.media import EVENTS, KNOWN
from headgate.api.problems import KINDS
from headgate.api.uploads import FORM

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 16%, transparent);
  --soft: color-mix(in srgb, currentColor 6%, transparent); --accent: #0b7285; }
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 5rem }
h1 { margin: 0 } h2 { margin: 3rem 0 .5rem; font-size: 1.25rem } h3 { margin: 1.25rem 0 .4rem; font-size: .95rem }
p { margin: .4rem 0 } a { color: var(--accent) }
code, pre { font: .875em/1.5 ui-monospace, monospace }
pre { background: var(--soft); border-radius: .5rem; padding: .8rem 1rem; overflow-x: auto; margin: .4rem 0 }
section { border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.25rem; margin: 1rem 0 }
section > h2 { margin: 0; font: 600 1rem ui-monospace, monospace }
.method { background: var(--accent); color: #fff; border-radius: .3rem; padding: .1rem .5rem; margin-right: .5rem }
.table { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; white-space: nowrap } .bad { color: #c92a2a }
"""


def page(document: dict[str, Any], models: Iterable[dict[str, Any]], address: str) -> str:
    """The page as HTML: `models` are the rows of ``/v1/models``, `address` is this server's, without a final slash."""
    schemas = document["components"]["schemas"]
    sections = [
        _section(method, path, operation, schemas, address)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    loaded = [
        [
            f"<code>{escape(model['domain'])}</code>",
            str(model["version"] or "–"),
            f"<code>{escape((model['bundle'] or '–')[:12])}</code>",
            escape((model["loaded_at"] or "–")[:19].replace("T", " ")),
            f'<span class="bad">{escape(model["problem"])}</span>' if model["problem"] else "as the registry says",
        ]
        for model in models
    ]
    kinds = [[f'<code id="{kind}">/docs#{kind}</code>', _code(meaning)] for kind, meaning in KINDS.items()]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Headgate</title><style>{_STYLE}</style></head><body>
<h1>Headgate</h1>
{_prose(document["info"]["description"])}
<p><a href="/console/">Console</a> ·
<a href="/openapi.json">OpenAPI document</a> · <a href="/v1/models">models</a> · <a href="/metrics">metrics</a></p>
<h2>Loaded</h2>
{_table(["domain", "version", "bundle", "since (UTC)", "state"], loaded)}
<h2>Endpoints</h2>
{"".join(sections)}
<h2>Problems</h2>
{_table(["type", "meaning"], kinds)}
</body></html>
"""


def _section(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any], address: str) -> str:
    parts = [
        f'<section><h2><span class="method">{method.upper()}</span>{escape(path)}</h2>',
        f"<p><strong>{escape(operation['summary'])}</strong></p>",
        _prose(operation["description"]),
    ]
    parts += [f"<p>Scope of the token: {', '.join(scheme['token'])}</p>" for scheme in operation["security"]]
    parts.append(f"<h3>Try</h3><pre>{escape(_curl(method, address + path, operation))}</pre>")
    said, answered = operation.get("requestBody", {}), _answered(operation)
    contents = said.get("content", {})
    body, form = contents.get("application/json"), contents.get(FORM)
    answer = answered.get("application/json", {})
    if "example" in answer:
        shown = json.dumps(answer["example"], indent=2, ensure_ascii=False)
        parts.append(f"<h3>Answer</h3><pre>{escape(shown)}</pre>")
    for title, content in (("Takes", body), ("Answers", answer)):
        parts += [f"<h3>{title}: {name}</h3>{_fields(schemas[name])}" for name in _names((content or {}).get("schema"))]
    if form:
        parts.append(f"<h3>Takes: a form</h3>{_fields(form['schema'])}")
    if "description" in said:
        parts.append(f"<p>{_code(said['description'])}</p>")
    if parameters := operation.get("parameters"):
        parts.append(f"<h3>Parameters</h3>{_parameters(parameters)}")
    for media in [one for one in answered if one not in ("application/json", "text/plain")]:
        parts.append(f"<h3>Answers: {escape(media)}</h3>")
    if EVENTS in answered:
        parts.append(f"<p>{_code(operation['responses']['200']['description'])}</p>")
    errors = [[status, _code(a["description"])] for status, a in operation["responses"].items() if status[0] in "45"]
    if errors:
        parts.append(f"<h3>Errors</h3>{_table(['status', 'when'], errors)}")
    return "".join(parts) + "</section>"


def _answered(operation: dict[str, Any]) -> dict[str, Any]:
    """What is answered where all is well, by media type."""
    fine = next(one for status, one in operation["responses"].items() if status.startswith("2"))
    content: dict[str, Any] = fine.get("content", {})
    return content


def _curl(method: str, address: str, operation: dict[str, Any]) -> str:
    """A command line that asks for the operation."""
    contents, answered = operation.get("requestBody", {}).get("content", {}), _answered(operation)
    body, form = contents.get("application/json"), contents.get(FORM)
    parts = [f"curl -s {_filled(address, operation)}"]
    if method != ("post" if contents else "get"):
        parts[0] += f" -X {method.upper()}"
    parts += ['-H "Authorization: Bearer $HEADGATE_TOKEN"' for _ in operation["security"]]
    if body:
        example = json.dumps(body["example"], indent=2, ensure_ascii=False).replace("'", "'\\''")
        parts += ["-H 'Content-Type: application/json'", f"-d '{example}'"]
    elif form:
        parts += [f"-F {one}" for one in _fields_to_try(form)]
    elif contents:
        media = next(iter(contents))
        parts += [f"-H 'Content-Type: {media}'", f"--data-binary @{_file('file', media)}"]
    if EVENTS in answered:
        parts.append("-N")
    elif answered and not {"application/json", "text/plain"} & set(answered):
        parts.append(f"-o {_file('answer', next(iter(answered)))}")
    return " \\\n  ".join(parts)


def _filled(address: str, operation: dict[str, Any]) -> str:
    """An address that a shell takes as it is: the parameters of its path in capitals, to be filled in."""
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            address = address.replace(f"{{{one['name']}}}", one["name"].upper())
    return address


def _fields_to_try(form: dict[str, Any]) -> list[str]:
    """The fields of a form as curl takes them, the files named for their type."""
    found = []
    for name, schema in form["schema"]["properties"].items():
        types = form["encoding"].get(name, {}).get("contentType", "").split(", ")
        found.append(f"'{name}=@{_file(name, types[0])}'" if types[0] else f"'{name}={schema.get('default', '…')}'")
    return found


def _file(name: str, media: str) -> str:
    return name + KNOWN.get(media, "")


def _parameters(parameters: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            f"<code>{escape(one['name'])}</code>",
            f"in the {one['in']}",
            escape(_type(one["schema"])),
            "required" if one["required"] else "optional",
            _code(one["description"]),
        ]
        for one in parameters
    ]
    return _table(["parameter", "", "type", "", ""], rows)


def _names(schema: Any) -> list[str]:
    """The component schemas that `schema` refers to, each once."""
    if isinstance(schema, dict):
        here = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return list(dict.fromkeys(here + [name for value in schema.values() for name in _names(value)]))
    return list(dict.fromkeys(name for value in schema for name in _names(value))) if isinstance(schema, list) else []


def _fields(schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        [
            f"<code>{escape(name)}</code>",
            escape(_type(field)),
            "required" if name in required else "optional",
            _code(field.get("description", "")),
        ]
        for name, field in schema.get("properties", {}).items()
    ]
    return _table(["field", "type", "", ""], rows)


def _type(field: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    words = str(field.get("format") or field.get("type") or "")
    return words + (f", at most {field['maxLength']} characters" if "maxLength" in field else "")


def _prose(text: str) -> str:
    return "".join(f"<p>{_code(paragraph)}</p>" for paragraph in text.split("\n\n"))


def _code(text: str) -> str:
    """Escaped text with `…` as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    cells = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="table"><table><tr>{cells}</tr>{body}</table></div>'
