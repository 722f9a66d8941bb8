"""A page of text, tables and pictures, written as Markdown and as one HTML file that needs nothing else.

Nothing of models is known here. Text may hold `code` and **bold**; everything else is shown as it is.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fx_assets.models.report import table


@dataclass(frozen=True)
class Text:
    words: str


@dataclass(frozen=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Cells that read `pass`, `miss`, `approved` or `rejected` are coloured; columns of numbers stand to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """name: of the picture; title: what it shows; caption: how to read it."""

    name: str
    title: str
    caption: str


Block = Text | Bullets | Table | Picture


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """good: whether the badge is a pleasant one. tiles: (name, value, small print) at the head."""

    title: str
    subtitle: str
    badge: str
    good: bool
    lead: str
    tiles: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]


def to_markdown(page: Page, sources: Mapping[str, str]) -> str:
    """The page as Markdown. sources: address of each picture, a path or a data address; others are left out."""
    lines = [f"# {page.title}", "", f"{page.subtitle}  ", f"Verdict: **{page.badge}**", "", page.lead, ""]
    lines += [table(("figure", "value", "what it is"), [list(tile) for tile in page.tiles]), ""]
    for section in page.sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_markdown(block, sources), ""]
    return "\n".join(lines).rstrip() + "\n"


def to_html(page: Page, pictures: Mapping[str, bytes]) -> str:
    """The page as one HTML document; the pictures (PNG) are inside it."""
    tone = "good" if page.good else "bad"
    tiles = "".join(
        f'<div class="tile"><div class="name">{_inline(name)}</div><div class="value">{_inline(value)}</div>'
        f'<div class="small">{_inline(small)}</div></div>'
        for name, value, small in page.tiles
    )
    sections = "".join(
        f"<section><h2>{_inline(section.title)}</h2>{_blocks(section.blocks, pictures)}</section>"
        for section in page.sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(page.title)}</title><style>{STYLE}</style></head><body><main>"
        f'<header class="{tone}"><div><h1>{_inline(page.title)}</h1><p>{_inline(page.subtitle)}</p></div>'
        f'<div class="badge">{html.escape(page.badge)}</div></header>'
        f'<p class="lead {tone}">{_inline(page.lead)}</p><div class="tiles">{tiles}</div>{sections}'
        "</main></body></html>\n"
    )


def data_address(png: bytes) -> str:
    """A picture as an address that carries it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _markdown(block: Block, sources: Mapping[str, str]) -> list[str]:
    if isinstance(block, Text):
        return [block.words]
    if isinstance(block, Bullets):
        return [f"- {item}" for item in block.items]
    if isinstance(block, Table):
        bold = {"miss", "rejected"}
        rows = [[f"**{cell}**" if cell in bold else cell for cell in row] for row in block.rows]
        return [table(block.head, rows)]
    if block.name not in sources:
        return []
    return [f"![{block.title}]({sources[block.name]})", "", f"*{block.title}.* {block.caption}"]


def _blocks(blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> str:
    """Pictures that follow each other stand side by side."""
    made: list[str] = []
    row: list[str] = []
    for block in blocks:
        if isinstance(block, Picture):
            if block.name in pictures:
                row.append(_figure(block, pictures[block.name]))
            continue
        made += [*_side_by_side(row), _block(block)]
        row = []
    return "".join([*made, *_side_by_side(row)])


def _side_by_side(row: list[str]) -> list[str]:
    return [f'<div class="pictures">{"".join(row)}</div>'] if row else []


def _figure(block: Picture, png: bytes) -> str:
    return (
        f'<figure><figcaption><b>{_inline(block.title)}</b></figcaption><img alt="{html.escape(block.title)}" '
        f'src="{data_address(png)}"><figcaption>{_inline(block.caption)}</figcaption></figure>'
    )


def _block(block: Text | Bullets | Table) -> str:
    if isinstance(block, Text):
        return f"<p>{_inline(block.words)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in block.items)}</ul>"
    right = [all(_is_number(row[k]) for row in block.rows) for k in range(len(block.head))]
    head = "".join(f'<th scope="col"{_side(right[k])}>{_inline(name)}</th>' for k, name in enumerate(block.head))
    body = "".join(f"<tr>{''.join(_cell(cell, right[k]) for k, cell in enumerate(row))}</tr>" for row in block.rows)
    two = ' class="two"' if len(block.head) == 2 else ""
    return f'<div class="wide"><table{two}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: str, right: bool) -> str:
    if cell in ("pass", "miss", "approved", "rejected"):
        return f'<td><span class="chip {"good" if cell in ("pass", "approved") else "bad"}">{cell}</span></td>'
    return f"<td{_side(right)}>{_inline(cell)}</td>"


def _side(right: bool) -> str:
    return ' class="number"' if right else ""


def _is_number(cell: str) -> bool:
    return bool(
        re.fullmatch(r"(?:[<>]=? )?[-+]?[\d,]*\.?\d+(e[-+]?\d+)?\s*%?( \[.*\])?|not computable|nan|-|", cell.strip("*"))
    )


def _inline(words: str) -> str:
    shown = html.escape(words, quote=False)
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", shown)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", shown)


STYLE = """
:root{--ink:#22303c;--soft:#5b6b79;--line:#dfe5ea;--good:#2f7d4f;--bad:#b3362b;--blue:#1d4f91}
*{box-sizing:border-box}
body{margin:0;background:#f3f5f7;color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"Noto Sans",
"Liberation Sans",Arial,sans-serif}
main{max-width:1160px;margin:0 auto;padding:28px 24px 56px}
header{display:flex;justify-content:space-between;align-items:center;gap:24px;padding:24px 28px;color:#fff;
background:#22303c;border-radius:12px 12px 0 0;border-bottom:5px solid var(--good)}
header.bad{border-color:var(--bad)}
h1{margin:0;font-size:28px;letter-spacing:-.01em}
header p{margin:4px 0 0;color:#c3ced8}
.badge{padding:8px 18px;border-radius:999px;font-weight:700;letter-spacing:.04em;text-transform:uppercase;
background:var(--good)}
header.bad .badge{background:var(--bad)}
.lead{margin:0;max-width:none;padding:18px 28px;background:#fff;border-radius:0 0 12px 12px;font-size:17px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:14px;margin:18px 0}
.tile{background:#fff;border-radius:10px;padding:14px 16px}
.tile .name{color:var(--soft);font-size:13px}
.tile .value{font-size:25px;font-weight:650;letter-spacing:-.02em;color:var(--blue)}
.tile .small{color:var(--soft);font-size:12.5px}
section{background:#fff;border-radius:12px;padding:20px 28px 24px;margin:18px 0}
h2{margin:0 0 10px;font-size:20px}
p{max-width:100ch;margin:8px 0}
ul{margin:8px 0;padding-left:20px;max-width:110ch}
li{margin:4px 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:10px 0;font-size:13.5px}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:2px solid var(--line);padding:6px 10px}
td:first-child{white-space:nowrap;font-weight:500}
table.two{width:auto;min-width:55%}
table.two td+td{white-space:normal}
td{border-bottom:1px solid var(--line);padding:6px 10px;vertical-align:top}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.chip{display:inline-block;padding:1px 10px;border-radius:999px;font-size:12.5px;font-weight:600}
.chip.good{background:#e2f2e8;color:var(--good)}
.chip.bad{background:#fae4e1;color:var(--bad)}
code{background:#eef1f4;border-radius:4px;padding:1px 5px;font-size:.92em;overflow-wrap:anywhere}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:22px;margin:14px 0}
figure{margin:0}
img{display:block;width:100%;height:auto;margin:6px 0}
figcaption{font-size:13px;color:var(--soft)}
figcaption b{color:var(--ink);font-size:14px}
@media (max-width:700px){main{padding:12px 10px}section,.lead,header{padding:16px}
.pictures{grid-template-columns:1fr}h1{font-size:22px}}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
