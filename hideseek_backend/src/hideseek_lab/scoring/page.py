"""A self-contained HTML page of tables, figures and short texts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment

from hideseek_backend.optional import import_optional

RESEARCH_NOTE = "For research use only. Not a medical device; not cleared for diagnosis."

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light; --ink: #1d2329; --soft: #5c6670; --line: #d9dee3; --band: #f5f7f9; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--ink);
  background: #fff; margin: 0 auto; max-width: 76rem; padding: 1.5rem 1.5rem 4rem; }
h1 { font-size: 1.55rem; margin: .2rem 0 .4rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
p { max-width: 52rem; margin: .4rem 0; } .note { color: var(--soft); font-size: .9rem; }
.banner { border-left: 4px solid #c98a1b; background: #fdf6e8; padding: .45rem .8rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .7rem 0; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 2px solid #9aa4ae; vertical-align: bottom; white-space: normal; }
tr.group td { background: var(--band); font-weight: 600; text-align: left; }
td.best { font-weight: 700; } figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .88rem; max-width: 52rem; }
</style></head><body>
<h1>{{ title }}</h1>
<p class="banner">{{ note }}</p>
{% for text in lead %}<p>{{ text }}</p>
{% endfor %}
{% for section in sections %}
<section><h2>{{ section.heading }}</h2>
{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}
{% for table in section.tables %}
<div class="scroll"><table>
<thead><tr>{% for head in table.head %}<th>{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}
{% if row|length == 1 %}<tr class="group">
<td colspan="{{ table.head|length }}">{{ row[0] }}</td></tr>
{% else %}<tr>{% set line = loop.index0 %}{% for cell in row -%}
<td{% if (line, loop.index0) in table.best %} class="best"{% endif %}>{{ cell }}</td>
{%- endfor %}</tr>{% endif %}{% endfor %}
</tbody></table></div>
{% if table.caption %}<p class="note">{{ table.caption }}</p>{% endif %}
{% endfor %}
{% for figure in section.figures %}
<figure><img alt="{{ figure.caption }}" src="data:image/png;base64,{{ figure.encoded }}">
<figcaption>{{ figure.caption }}</figcaption></figure>
{% endfor %}
</section>
{% endfor %}
</body></html>
"""


@dataclass(frozen=True)
class Table:
    """head: column titles. rows: cells as text; a row of one cell is a group's heading.

    best: (row, column) of cells to print bold.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    best: frozenset[tuple[int, int]] = frozenset()

    def markdown(self) -> str:
        """The table in Markdown, the best cells bold."""
        rows = [
            [f"**{c}**" if (i, j) in self.best else c for j, c in enumerate(row)]
            for i, row in enumerate(self.rows)
        ]
        return self._formatted(rows, "pipe")

    def text(self) -> str:
        """The table for a terminal."""
        return self._formatted(self.rows, "plain")

    def _formatted(self, rows: Sequence[Sequence[str]], form: str) -> str:
        pandas = import_optional("pandas", "Tables of scores")
        width = len(self.head)
        filled = [[*row, *[""] * (width - len(row))] for row in rows]
        frame = pandas.DataFrame(filled, columns=list(self.head))
        return str(frame.to_markdown(index=False, tablefmt=form, disable_numparse=True))


@dataclass(frozen=True)
class Picture:
    """A PNG with its caption."""

    image: bytes
    caption: str

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.image).decode("ascii")


@dataclass(frozen=True)
class Section:
    heading: str
    texts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Picture] = field(default=())


def render_page(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """Render the page; all text is escaped, nothing is loaded from elsewhere."""
    template = Environment(autoescape=True).from_string(_TEMPLATE)
    return template.render(title=title, lead=lead, sections=sections, note=RESEARCH_NOTE)
