"""What the site has beside docs/: references made of the code, and the pages of the root.

mkdocs calls the functions `on_...`. The references are made anew by every build, so they cannot
lag behind; tests/docs holds them against the code.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click

from holdfast.cli.app import build
from holdfast.serve import schema

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
MARK = ROOT / "src" / "holdfast" / "serve" / "ui" / "mark.svg"
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`|\[[^]]*\]\([^)]*\))", re.MULTILINE | re.DOTALL)
BESIDE = re.compile(r"\]\(\.\./([\w./-]+)\)")
LABEL = re.compile(r"^(```\w+) .+$", re.MULTILINE)  # by which a test finds a sample
PAGE_NAMED = re.compile(r"(?<![\w/])(?:docs/)?([A-Z]+)\.md(?!\w)")

Json = Mapping[str, Any]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what does not lie in docs/."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "assets/mark.svg", abs_src_path=str(MARK)))
    for name in sorted(_linked(files)):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for name, text in (("cli", command_line()), ("http", http())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def _linked(files: Files) -> set[str]:
    """Files of the repository that pages link to: the site hands them out."""
    pages = [file.content_string for file in files.documentation_pages()]
    return {name for page in pages for name in BESIDE.findall(page) if not name.endswith(".md")}


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links of the root's pages, and pages that are only named, lead to the site's pages."""
    markdown = LABEL.sub(r"\1", markdown)
    above = "../" * page.file.src_uri.count("/")
    if not above:  # there the root's pages lie beside those of docs/
        markdown = re.sub(r"\]\((?:docs/|\.\./)", "](", markdown)

    def linked(found: re.Match[str]) -> str:
        name = f"{found[1]}.md"
        known = files.get_file_from_path(name) is not None and name != page.file.src_uri
        return f"[{name}]({above}{name})" if known else found[0]

    parts = CODE.split(markdown)
    parts[::2] = [PAGE_NAMED.sub(linked, part) for part in parts[::2]]
    return "".join(parts)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Give the theme's search a name, for who hears the page."""
    return output.replace('class="md-search"', 'class="md-search" aria-label="Search"')


def command_line() -> str:
    """Every verb with every option, as `holdfast VERB --help` has them."""
    command = typer.main.get_command(build())
    context = typer.Context(command, info_name="holdfast")
    text = get_docs_for_click(obj=command, ctx=context, name="holdfast", title="Every option")
    summaries = dict(_summaries(command))

    def whole(found: re.Match[str]) -> str:
        return f"* [`{found[1]}`](#holdfast-{found[1]}): {summaries[found[1]]}"

    head, *rest = text.split("\n## ")
    head = re.sub(r"^\* `(\w+)`: .*$", whole, head, flags=re.MULTILINE)
    return "\n## ".join([head, *rest])


def _summaries(command: Any) -> Iterator[tuple[str, str]]:
    for verb, each in command.commands.items():
        sentence = re.split(r"(?<=\.)\s|: `", " ".join((each.help or "").split()))[0]
        yield verb, sentence.rstrip(".") + "."


def http() -> str:
    """Every path and every shape of the OpenAPI document."""
    document = json.loads(schema.document())
    parts = [
        "# HTTP, from the schema",
        "",
        "Made of the OpenAPI document that every server has at `/schema`. "
        "[The HTTP API](../API.md) says what each key means.",
        "",
        "## Paths",
        "",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += _operation(method.upper(), path, operation)
    parts += ["## Shapes", ""]
    for name, shape in sorted(document["components"]["schemas"].items()):
        parts += _shape(name, shape)
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield from (f"### {method} {path}".replace("{", "\\{"), "", operation.get("summary", ""), "")
    if "description" in operation:
        yield from (operation["description"], "")
    parameters = operation.get("parameters", ())
    if parameters:
        yield from ("| parameter | in | type | |", "| --- | --- | --- | --- |")
        for each in parameters:
            cells = (f"`{each['name']}`", each["in"], _kind(each["schema"]), _told(each))
            yield _row(cells)
        yield ""
    bodies = operation.get("requestBody", {}).get("content", {})
    if bodies:
        yield from ("| body | |", "| --- | --- |")
        for media, each in bodies.items():
            yield _row((f"`{media}`", _kind(each.get("schema", {})), _told(each.get("schema", {}))))
        yield ""
    yield from ("| status | | body |", "| --- | --- | --- |")
    for status, answer in operation["responses"].items():
        content = [_kind(each.get("schema", {})) for each in answer.get("content", {}).values()]
        yield _row((status, answer["description"], "<br>".join(content)))
    yield ""


def _shape(name: str, shape: Json) -> Iterator[str]:
    yield from (f"### {name}", "")
    if "description" in shape:
        yield from (" ".join(shape["description"].split()), "")
    required = shape.get("required", ())
    if shape.get("properties"):
        yield from ("| key | type | |", "| --- | --- | --- |")
        for key, each in shape["properties"].items():
            always = "" if key in required else "may be left out. "
            yield _row((f"`{key}`", _kind(each), always + _told(each)))
        yield ""


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _told(each: Json) -> str:
    return " ".join(str(each.get("description", "")).split())


def _kind(of: Json) -> str:
    """A schema in a few words; a shape of its own is a link."""
    if "$ref" in of:
        name = of["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in of:
            return " or ".join(_kind(each) for each in of[several])
    if "enum" in of:
        return ", ".join(f"`{each}`" for each in of["enum"])
    if "items" in of:
        return f"array of {_kind(of['items'])}"
    kind = of.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else of.get("format", kind)
