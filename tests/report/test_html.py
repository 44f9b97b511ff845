import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from pipeline.domain.lifecycle import State
from pipeline.domain.results import ResultError, ResultFile, ResultMesh, ResultRow
from pipeline.report.html import ReportPage, report_html

DIGEST = "0" * 64
EVIL = "<script>alert(1)</script>\"'&\x1b[2J\u202e"


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def output(role: str, path: str, size: int = 1000) -> ResultFile:
    return ResultFile(role=role, path=path, bytes=size, sha256=DIGEST, media_type="x/y")


def delivered(**changes) -> ResultRow:
    known = {
        "set": "props/chair",
        "key": "k1",
        "state": State.DELIVERED,
        "verdict": "accepted",
        "views": ("front", "left"),
        "job_id": "job_1",
        "cu_charged": 20.0,
        "timings": {"upload": 1.0, "generate": 63.0},
        "outputs": (
            output("mesh", "meshes/props/chair/chair.glb", 3_000_000),
            output("preview", "previews/props/chair.webp"),
            output("albedo", "meshes/props/chair/albedo.png"),
        ),
        "mesh": ResultMesh(faces=123456, vertices=9, textures=1, materials=1, has_uvs=True, has_pbr=False),
    }
    return ResultRow(**(known | changes))


def failed(**changes) -> ResultRow:
    error = ResultError(kind="JobFailed", message="the service gave up", mend="look at its pictures")
    return ResultRow(**({"set": "props/table", "key": "k2", "state": State.FAILED, "error": error} | changes))


def test_a_row_tells_all_that_a_person_asks_for() -> None:
    row = delivered(variant="pbr", copy_number=2, reasons=("few faces",), notes=("the depth is guessed",))
    page = Page(report_html([row], title="Props"))
    for word in (
        "Props",
        "props/chair",
        "pbr",
        "copy 2",
        "delivered",
        "few faces",
        "guessed",
        "123,456",
        "1 min 4 s",
        "job_1",
    ):
        assert word in page.text
    assert "3.0 MB" in page.text
    hrefs = [one["href"] for one in page.having("a")]
    assert "./meshes/props/chair/chair.glb" in hrefs
    assert "./meshes/props/chair/albedo.png" in hrefs
    (image,) = page.having("img")
    assert image["src"] == "./previews/props/chair.webp"
    assert image["loading"] == "lazy"
    assert image["alt"]


def test_a_failure_tells_its_reason_and_its_mend() -> None:
    page = Page(report_html([failed()], title="x"))
    assert "the service gave up" in page.text
    assert "look at its pictures" in page.text
    assert not page.having("img")


def test_a_job_that_several_rows_share_is_charged_once() -> None:
    rows = [delivered(), delivered(set="props/copy"), delivered(set="other", key="k3", cu_charged=5.0), failed()]
    text = Page(report_html(rows, title="x")).text
    assert "25 CU charged" in text
    assert "4 results" in text
    assert "3 delivered" in text
    assert "1 failed" in text


def test_whatever_a_row_says_is_text() -> None:
    error = ResultError(kind="x", message=EVIL, mend=EVIL)
    row = delivered(set=EVIL, variant=EVIL, job_id=EVIL, reasons=(EVIL,), findings=(EVIL,), error=error)
    html = report_html([row], title=EVIL)
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.elements}
    assert "alert(1)" in page.text
    assert "\x1b" not in html
    assert "\u202e" not in html
    known = {"href", "src", "class", "download", "loading", "decoding", "alt", "data-label", "scope", "lang"}
    known |= {"charset", "name", "content", "http-equiv"}
    assert {name for _, attributes in page.elements for name in attributes} <= known


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("meshes/a b/#1?.glb", "./meshes/a%20b/%231%3F.glb"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//evil.example/x.glb", ".///evil.example/x.glb"),
        ("meshes/视图/100%.glb", "./meshes/%E8%A7%86%E5%9B%BE/100%25.glb"),
        ('meshes/"x"/x.glb', "./meshes/%22x%22/x.glb"),
    ],
)
def test_links_stay_below_the_page(path: str, url: str) -> None:
    page = Page(report_html([delivered(outputs=(output("mesh", path),))], title="x"))
    assert page.having("a")[0]["href"] == url


def test_the_page_stands_alone() -> None:
    html = report_html([delivered(), failed()], title="x")
    page = Page(html)
    assert not page.having("script")
    assert not page.having("link")
    assert "http" not in "".join(
        str(value) for _, one in page.elements for name, value in one.items() if name != "http-equiv"
    )
    style = re.search("<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = [one["content"] for one in page.having("meta") if "http-equiv" in one]
    assert policy
    assert policy.startswith("default-src 'none'")
    assert f"style-src 'sha256-{digest}'" in policy


def test_the_same_results_make_the_same_page() -> None:
    assert report_html([delivered()], title="x") == report_html([delivered()], title="x")


def test_no_results_make_a_page_too() -> None:
    assert "0 results" in Page(report_html([], title="x")).text


def test_what_a_person_should_look_at_comes_first() -> None:
    rows = [delivered(set="a"), failed(set="b"), delivered(set="c"), failed(set="d")]
    page = report_html(rows, title="x")
    assert re.findall(r"<strong>(\w)<", page) == ["b", "d", "a", "c"]
    assert "are shown" not in page


def test_of_more_rows_than_are_shown_those_come_first_that_a_person_should_look_at() -> None:
    page = ReportPage("x", rows_shown=3)
    waiting = [ResultRow(set=f"a {at}", state=State.PLANNED) for at in range(5)]
    page.add(waiting)
    page.add([ResultRow(set="z", state=State.REFUSED)])
    html = page.html()
    assert html.index("<strong>z<") < html.index("<strong>a 0<")
    assert "<strong>a 1<" in html
    assert "<strong>a 2<" not in html
    assert "3 of 6 results are shown" in html
