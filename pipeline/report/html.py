"""``report.html``: the results for people. One page that stands alone: no scripts, nothing from elsewhere."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from pipeline.domain.lifecycle import State
from pipeline.domain.results import ResultFile, ResultRow
from pipeline.domain.texts import visible

_COLUMNS = ("Picture | Mesh", "Set", "State", "Faces", "Size", "CU", "Time", "")
_KILO = 1000
_FOOTER = 'Also as <a href="results.jsonl">results.jsonl</a> and <a href="results.csv">results.csv</a>. Made by mvmesh.'


ROWS_SHOWN = 2_000
"""A browser shows so many at ease."""

_WANTING = frozenset({State.FAILED, State.REFUSED, State.HELD, State.UNCERTAIN})


class ReportPage:
    """The page, made of rows that come some at a time; no more of them are kept than may be shown. Those that a person
    should look at come first: nobody finds three of them among five hundred.

    Links and pictures are relative to the folder that the page lies in, which is the output folder. Whatever a row
    says is escaped; the page's own policy (CSP) forbids scripts and everything that does not lie beside it.
    """

    def __init__(self, title: str, *, rows_shown: int = ROWS_SHOWN) -> None:
        self._title = title
        self._rows_shown = rows_shown
        self._totals = _Totals()
        self._wanting: list[str] = []
        self._others: list[str] = []

    def add(self, rows: Iterable[ResultRow]) -> None:
        """Further rows of the results manifest, in its order."""
        for row in rows:
            self._totals.add(row)
            kept = self._wanting if row.state in _WANTING else self._others
            if len(kept) < self._rows_shown:
                kept.append(_row(row))

    def html(self) -> str:
        """The whole page."""
        style = files("pipeline.report").joinpath("report.css").read_text(encoding="utf-8")
        heads = "".join(f"<th scope=col>{one}" for one in _COLUMNS)
        return "\n".join(
            [
                "<!doctype html>",
                '<html lang="en">',
                '<meta charset="utf-8">',
                f'<meta http-equiv="Content-Security-Policy" content="{_policy(style)}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                '<meta name="color-scheme" content="light dark">',
                f"<title>{_text(self._title)} - meshes</title>",
                f"<style>{style}</style>",
                f"<header><h1>{_text(self._title)}</h1>{self._totals.html()}</header>",
                f"<table><thead><tr>{heads}</thead><tbody>",
                *self._shown(),
                "</tbody></table>",
                f"<footer>{self._left_out()}{_FOOTER}</footer>",
                "</html>",
                "",
            ]
        )

    def _shown(self) -> list[str]:
        return [*self._wanting, *self._others][: self._rows_shown]

    def _left_out(self) -> str:
        shown = len(self._shown())
        return f"{shown:,} of {self._totals.count:,} results are shown. " if shown < self._totals.count else ""


def report_html(rows: Iterable[ResultRow], *, title: str) -> str:
    """The whole page about these rows, see ``ReportPage``."""
    page = ReportPage(title)
    page.add(rows)
    return page.html()


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; img-src 'self' file:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


class _Totals:
    """The sums over all rows."""

    def __init__(self) -> None:
        self.count = 0
        self._states: Counter[State] = Counter()
        self._bytes = 0
        self._charges: dict[str, float] = {}

    def add(self, row: ResultRow) -> None:
        self.count += 1
        self._states[row.state] += 1
        self._bytes += sum(file.bytes for file in row.outputs)
        if row.cu_charged:  # several rows may share one job: it is charged once
            self._charges[row.key] = row.cu_charged

    def html(self) -> str:
        states = [f"<li>{_badge(one, f'{self._states[one]:,} {one}')}" for one in State if self._states[one]]
        sums = [
            f"<li><b>{self.count:,}</b> {'result' if self.count == 1 else 'results'}",
            f"<li><b>{_size(self._bytes)}</b> on disk",
            f"<li><b>{sum(self._charges.values()):g}</b> CU charged",
        ]
        return f"<ul class=totals>{''.join(states + sums)}</ul>"


def _row(row: ResultRow) -> str:
    cells = [
        ("shot", "", _preview(row)),
        ("set", "", _name(row)),
        ("state", "", _badge(row.state, row.state) + _remarks(row)),
        ("num", "Faces", f"{row.mesh.faces:,}" if row.mesh else ""),
        ("num", "Size", _size(sum(file.bytes for file in row.outputs)) if row.outputs else ""),
        ("num", "CU", "" if row.cu_charged is None else f"{row.cu_charged:g}"),
        ("num", "Time", _duration(sum(row.timings.values())) if row.timings else ""),
        ("links", "", _links(row)),
    ]
    return "<tr>" + "".join(_cell(kind, label, content) for kind, label, content in cells)


def _cell(kind: str, label: str, content: str) -> str:
    named = f' data-label="{label}"' if label else ""
    empty = " empty" if not content else ""
    return f'<td class="{kind}{empty}"{named}>{content}'


def _name(row: ResultRow) -> str:
    marks = [row.variant, f"copy {row.copy_number}" if row.copy_number > 1 else ""]
    tags = "".join(f"<span class=tag>{_text(mark)}</span>" for mark in marks if mark)
    views = f"{len(row.views)} {'view' if len(row.views) == 1 else 'views'}" if row.views else ""
    small = "".join(f"<small>{_text(one)}</small>" for one in (views, row.job_id) if one)
    return f"<strong>{_text(row.set)}</strong>{tags}{small}"


def _remarks(row: ResultRow) -> str:
    said = [f"<li>{_text(one)}" for one in (*row.reasons, *(() if row.error else (*row.findings, *row.notes)))]
    if row.error:
        mend = f"<span class=mend>{_text(row.error.mend)}</span>" if row.error.mend else ""
        said.insert(0, f'<li class="error {row.state}">{_text(row.error.message)}{mend}')
    return f"<ul class=remarks>{''.join(said)}</ul>" if said else ""


def _preview(row: ResultRow) -> str:
    found = _file(row, "preview")
    if found is None:
        return ""
    where = _link(found.path)
    return f'<a href="{where}"><img src="{where}" alt="mesh beside its front view" loading="lazy"></a>'


def _links(row: ResultRow) -> str:
    return " ".join(
        f'<a class=mesh href="{_link(file.path)}" download>{_text(_suffix(file))}</a>'
        if file.role == "mesh"
        else f'<a href="{_link(file.path)}">{_text(file.role)}</a>'
        for file in row.outputs
        if file.role != "preview"
    )


def _suffix(file: ResultFile) -> str:
    return file.path.rpartition(".")[2].upper()


def _file(row: ResultRow, role: str) -> ResultFile | None:
    return next((file for file in row.outputs if file.role == role), None)


def _badge(state: State, text: str) -> str:
    return f'<span class="badge {state.value}">{_text(text)}</span>'


def _text(value: Any) -> str:
    """Escaped for text and for quoted attributes; signs that turn writing, or cannot be seen, become visible."""
    return escape(visible(str(value)))


def _link(path: str) -> str:
    """A path below the output folder as a relative URL: it can name no scheme and no host."""
    return escape("./" + quote(path, safe="/", errors="surrogatepass"))


def _size(size_bytes: float) -> str:
    """``812 B``, ``1.4 MB``: in steps of 1000, as the units say."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < _KILO:
            return f"{size_bytes:.0f} {unit}" if unit in {"B", "kB"} else f"{size_bytes:.1f} {unit}"
        size_bytes /= _KILO
    return f"{size_bytes:.1f} TB"


def _duration(seconds: float) -> str:
    """``8.5 s``, ``3 min 20 s``, ``1 h 5 min``"""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004
