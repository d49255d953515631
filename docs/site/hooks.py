"""Hooks of the documentation site: MkDocs calls the functions named on_*."""

import posixpath
import re
from logging import getLogger
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(\[[^]]*\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)]*)?\)")
OTHER_LANGUAGE = re.compile(r"\[(?:中文|English)\]\([^)]*\)(?: · )?")
WRAPPED = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n *(?=[\u3000-\u9fff\uff00-\uffef])")
CELL = re.compile(r"<td[ >].*?</td>", re.DOTALL)
NAME = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
OVERVIEW = {"": "Overview", ".zh-CN": "概览"}
COMPARED = ("pre", "table", "ul", "ol", "li", "h2", "h3", "em", "code", "tr")

log = getLogger("mkdocs.hooks.site")
github = MarkdownIt("commonmark").enable("table")


def navigation(language: str) -> list[Any]:
    """Return the README, the index, and the pages in the tables of each section of the index.

    Args:
        language: suffix of the pages, "" or ".zh-CN".
    """
    index = f"docs/README{language}.md"
    found: list[Any] = [{OVERVIEW[language]: f"README{language}.md"}, index]
    for section in re.split(r"^## ", (ROOT / index).read_text(), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        links = re.findall(r"^\| \[([^]]+)\]\(([^)]+\.md)\)", body, re.MULTILINE)
        if links:
            entries = [entry(name, posixpath.normpath(posixpath.join("docs", link))) for name, link in links]
            found.append({title: entries})
    return found


def entry(name: str, path: str) -> dict[str, Any]:
    """Return an entry of the navigation, named as in the index: decision records are below their index."""
    if path != "docs/adr/README.md":
        return {name: path}
    records = sorted((ROOT / "docs/adr").glob("0*.md"))
    return {name: [path, *(str(record.relative_to(ROOT)) for record in records)]}


@event_priority(100)  # before the plugin i18n reads the configuration
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the pages from the whole repository, and the navigation from the index of each language."""
    config.docs_dir = str(ROOT)
    config.nav = navigation("")
    for language in config.plugins["i18n"].config.languages:
        language.nav = navigation("" if language.default else f".{language.locale}")
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files without a page refer to the repository, and remove those to the other language.

    A page without a translation is also part of the other language, where the headings of linked pages differ.
    """
    source = page.file.src_uri
    translated = config.plugins["i18n"].current_language != "en"
    untranslated = translated and ".zh-CN." not in source

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        target = files.get_file_from_path(path)
        if target is not None and target.inclusion.is_included():
            return f"{found[1]}{found[2]})" if untranslated else found[0]
        if not (ROOT / path).exists():
            return found[0]
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{found[1]}{config.repo_url.rstrip('/')}/{kind}/main/{path}{found[3] or ''})"

    # A browser shows the end of a line between Chinese characters as a space.
    parts = FENCED.split(WRAPPED.sub("", OTHER_LANGUAGE.sub("", markdown, count=1)))
    return "".join(part if part.lstrip().startswith("```") else LINK.sub(link, part) for part in parts)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Let long names in tables break between their words, so that all columns have room on a phone."""
    return CELL.sub(lambda cell: NAME.sub(lambda name: re.sub(r"([._/])", r"\1<wbr>", name[0]), cell[0]), output)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Report a page that GitHub shows differently, such as a list without an empty line before it."""
    expected = github.render(page.markdown)
    for tag in COMPARED:
        here, there = (len(re.findall(rf"<{tag}[ >]", text)) for text in (html, expected))
        if here != there:
            log.warning("%s: %d elements <%s>, on GitHub %d", page.file.src_uri, here, tag, there)
