"""What a service answers, of any kind: a domain value or an error of ours, and nothing that is signed in its words."""

import json
import math
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipeline.domain.errors import (
    AssetGone,
    CeilingReached,
    CredentialsError,
    MvmeshError,
    RequestRefused,
    ServiceFault,
    SubmissionUncertain,
    Throttled,
)
from pipeline.domain.jobs import Job, Quote, TeamLimits
from pipeline.domain.model import ModelSchema
from pipeline.domain.outputs import has_mesh, wanted
from pipeline.ports import scenario_wire as wire
from pipeline.ports.http import Answer
from pipeline.ports.scenario_answers import (
    QUOTED,
    asset_gone,
    described,
    final_on,
    problem,
    quote_problem,
    submission_problem,
)

SECRET = "X-Amz-Signature-5ecret"
URL = f"https://cdn.example/file.glb?sig={SECRET}"
JOB = {
    "jobId": "job_1", "jobType": "custom", "status": "success", "progress": 1, "createdAt": "2031-05-01T20:00:00.000Z",
    "updatedAt": "2031-05-01T20:05:00Z", "statusHistory": [{"status": "queued", "date": "2031-05-01T20:00:00.000Z"}],
    "metadata": {"modelId": "m", "assetIds": ["asset_1"], "input": {"frontImage": "asset_2"}, "error": "e", "hint": "h"},
    "billing": {"cuCost": 10, "cuCostDetails": {"a": 1, "b": None}, "disableRefund": False},
}  # fmt: skip
ASSET = {
    "id": "asset_1",
    "url": URL,
    "kind": "3d",
    "mimeType": "model/gltf-binary",
    "source": "img23d",
    "properties": {"size": 10, "faceCount": 5.0},
}
INPUT = {
    "name": "faceCount",
    "type": "number",
    "required": {"always": True},
    "default": 5.0,
    "min": 1,
    "max": 9,
    "allowedValues": [1, 2.0],
    "costImpact": True,
}
UPLOAD = {
    "id": "upload_1",
    "status": "pending",
    "entityId": "a",
    "errorMessage": "e",
    "parts": [{"number": 1, "url": URL}],
}
ANSWERS: dict[type[wire.Wire], tuple[dict[str, Any], Any]] = {
    wire.JobAnswer: ({"job": JOB}, lambda it: it.to_domain()),
    wire.JobsAnswer: ({"jobs": [JOB, JOB], "nextPaginationToken": "t"}, lambda it: it.to_domain()),
    wire.QuoteAnswer: ({"creativeUnitsCost": 10.5, "costDetails": {"a": 10.5}}, lambda it: it.to_domain()),
    wire.AssetsAnswer: ({"assets": [ASSET, ASSET]}, lambda it: it.to_domain()),
    wire.UploadedAnswer: ({"asset": {"id": "asset_1", "url": URL}}, lambda it: it.asset.id),
    wire.UploadAnswer: ({"upload": UPLOAD}, lambda it: it.upload),
    wire.ModelAnswer: ({"model": {"id": "m", "inputs": [INPUT, INPUT]}}, lambda it: it.to_domain("m")),
    wire.TeamsAnswer: ({"teams": [{"id": "t", "projects": [{"id": "p"}]}]}, lambda it: it.team_of("p")),
    wire.TeamLimitsAnswer: ({"limits": {"parallelCustomJobs": 5}}, lambda it: it.to_domain()),
}  # fmt: skip
"""Every answer that is read: a good one, and what is made of it."""

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [URL, "", " ", "success", "2031-05-01", "2031-05-01T20:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1e400", "-1", 1e308, -1e308, 10**400, -(10**400), 2**63, 1.5, 0, -1, "\ud800", "\x00", "\x1b[31m", "a" * 10_000]
    )
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.sampled_from(sorted({*JOB, *ASSET})), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def as_json(value: Any) -> bytes:
    """With NaN, Infinity and lone surrogates, as some services would write them."""
    return json.dumps(value).encode()


def steps(value: Any, way: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way] * bool(way) + [one for step, part in inner for one in steps(part, (*way, step))]


@st.composite
def changed(draw, good: Mapping[str, Any]) -> Any:
    """A good answer with up to three of its parts taken for others, or left out."""
    value = deepcopy(dict(good))
    for _ in range(draw(st.integers(1, 3))):
        if not (ways := steps(value)):
            break
        *before, last = draw(st.sampled_from(ways))
        parent = value
        for step in before:
            parent = parent[step]
        if draw(st.booleans()):
            parent[last] = draw(JSON)
        else:
            del parent[last]
    return value


def read(kind: type[wire.Wire], body: bytes) -> Any:
    """What is made of an answer; None where it is refused in words that hold nothing of it that is signed."""
    _, made_of = ANSWERS[kind]
    try:
        return made_of(wire.parse(kind, body, "GET /it", lambda: "req_1"))
    except ServiceFault as error:
        fault = error
    said = f"{fault} {fault.mend} {fault!r} {fault.__cause__}"
    assert str(fault).startswith("GET /it: the answer is not what was agreed: ")
    assert SECRET not in said
    assert len(str(fault)) < 2500
    return None


def test_every_answer_has_its_fuzz() -> None:
    named = {one for name, one in vars(wire).items() if isinstance(one, type) and name.endswith("Answer")}
    assert named == ANSWERS.keys()


@pytest.mark.parametrize("kind", ANSWERS)
def test_good_answers_are_read(kind) -> None:
    assert read(kind, as_json(ANSWERS[kind][0])) is not None


@pytest.mark.parametrize("kind", ANSWERS)
@given(data=st.data())
def test_an_answer_with_anything_anywhere_is_read_or_a_fault(kind, data) -> None:
    sane(read(kind, as_json(data.draw(changed(ANSWERS[kind][0])))))


@given(st.sampled_from(sorted(ANSWERS, key=lambda it: it.__name__)), st.binary() | JSON.map(as_json))
@example(wire.JobAnswer, b"[" * 100_000)
@example(wire.JobAnswer, b'{"job":' * 100_000)
@example(wire.JobAnswer, b'{"job": {"jobId": "j", "status": "success", "progress": 1' + b"0" * 10_000 + b"}}")
@example(wire.JobAnswer, b'{"job": {"jobId": "\\ud800", "status": "success"}}')
@example(wire.JobAnswer, as_json({"job": JOB | {"billing": {"cuCost": -5}}}))
@example(wire.JobAnswer, as_json({"job": JOB | {"billing": {"cuCost": 1e308, "cuCostDetails": {"a": 1e308}}}}))
@example(wire.JobAnswer, as_json({"job": JOB | {"createdAt": "0001-01-01T00:00:00+23:59"}}))
@example(wire.JobAnswer, as_json({"job": JOB | {"updatedAt": "9999-12-31T23:59:59-23:59"}}))
@example(wire.JobAnswer, as_json({"job": JOB | {"updatedAt": 1e300, "createdAt": -1e18}}))
@example(wire.AssetsAnswer, as_json({"assets": [ASSET | {"properties": {"size": -1, "faceCount": -1}}]}))
@example(wire.ModelAnswer, as_json({"model": {"inputs": [INPUT | {"default": float("nan")}]}}))
@example(wire.ModelAnswer, as_json({"model": {"inputs": [INPUT | {"default": [float("nan")]}]}}))
@example(
    wire.ModelAnswer, b'{"model": {"inputs": [{"name": "a", "type": "number", "default": 1' + b"0" * 5000 + b"}]}}"
)
@example(wire.ModelAnswer, b'{"model": {"inputs": [{"name": "a", "type": "number", "allowedValues": [-Infinity]}]}}')
@example(wire.AssetsAnswer, b'{"assets": [{"id": "a", "url": "u", "properties": {"size": 1e308}}]}')
def test_any_bytes_are_read_or_a_fault(kind, body) -> None:
    sane(read(kind, body))


def sane(value: Any) -> None:
    """What the flow reckons with is finite and in range; texts can be written to disk."""
    match value:
        case Job():
            assert 0 <= value.progress <= 1
            assert value.cu_charged is None or 0 <= value.cu_charged < math.inf
            for at in (value.created_at, value.updated_at):
                assert at is None or (at - timedelta(days=2)).utcoffset() == timedelta(0)
            value.job_id.encode()
        case Quote():
            assert 0 <= value.cu < math.inf
        case TeamLimits():
            assert value.parallel_jobs is None or value.parallel_jobs >= 1
        case ModelSchema():
            value.problems({"faceCount": 5, "other": "x"})
            json.dumps(value.complete({}), allow_nan=False)
        case list():
            assert all(one.size_bytes is None or one.size_bytes >= 0 for one in value)
            assert all(one.face_count is None or one.face_count >= 0 for one in value)
            if has_mesh(value):
                assert all(one.suffix.startswith(".") for one in wanted(value))


HEADER_TEXT = st.text(max_size=20) | st.sampled_from(
    [
        "nan",
        "inf",
        "-5",
        "1e999",
        "0",
        "true",
        "false",
        "text/plain",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "\x1b]0;x\x07",
        "https://evil.example/?a=1",
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after-ms", "Date", "x-should-retry", "Content-Type", "Location", "x-request-id", "cf-ray"]),
    HEADER_TEXT,
).map(CIMultiDict)  # fmt: skip
REFUSALS = st.fixed_dictionaries(
    {},
    optional={
        "error": JSON | st.fixed_dictionaries({}, optional={"message": JSON, "hint": JSON, "details": JSON}),
        "reason": JSON | st.sampled_from(["asset_1 not found", "asset_1 is unknown", "assets"]),
        "hint": JSON,
        "requestId": JSON,
        "details": JSON | st.fixed_dictionaries({"actionLimit": JSON, "actionName": JSON}),
    },
)  # fmt: skip
BODIES = (
    st.binary(max_size=60)
    | JSON.map(as_json)
    | REFUSALS.map(as_json)
    | st.sampled_from([b"[" * 100_000, b"<html>asset_1 not found"])
)
STATUSES = st.integers(100, 599) | st.integers(0, 10_000)
ANY_ANSWERS = st.builds(Answer, status=STATUSES, headers=HEADERS, body=BODIES)
ASSET_IDS = st.lists(st.sampled_from(["asset_1", "asset_2", "", "a.*", "\ud800"]), max_size=3)

PROOFS = {400, 402, 404, 405, 406, 407, 410, 411, 413, 414, 415, 422, 431}
"""Answers that were given instead of doing anything."""


def is_told_well(error: MvmeshError | None) -> None:
    if error is not None:
        said = str(error) + error.mend
        assert all(sign.isprintable() for sign in said), repr(said)
        assert len(said) < 6000
        pause_s = getattr(error, "retry_after_s", None)
        assert pause_s is None or 0 <= pause_s < math.inf


@given(ANY_ANSWERS, ASSET_IDS)
def test_any_answer_is_judged(answer, asset_ids) -> None:
    described(answer)
    for error in (
        problem("GET /it", answer),
        final_on(403, 404)("GET /it", answer),
        quote_problem("POST /it", answer, asset_ids),
        asset_gone("POST /it", answer, asset_ids),
    ):
        is_told_well(error)
    assert (problem("GET /it", answer) is None) == (200 <= answer.status < 300)
    assert (quote_problem("POST /it", answer, asset_ids) is None) == (answer.status == QUOTED)


@given(ANY_ANSWERS, ASSET_IDS)
def test_a_submission_is_uncertain_unless_its_answer_proves_that_no_job_was_made(answer, asset_ids) -> None:
    error = submission_problem("POST /it", answer, asset_ids)
    is_told_well(error)
    match answer.status:
        case 269:
            assert isinstance(error, SubmissionUncertain)
        case status if 200 <= status < 300:
            assert error is None
        case 401 | 403:
            assert isinstance(error, CredentialsError)
        case 429:
            assert isinstance(error, Throttled | CeilingReached)
            assert not isinstance(error, CeilingReached) or error.ceiling >= 1
        case status if status in PROOFS:
            assert isinstance(error, RequestRefused | AssetGone)
        case _:
            assert isinstance(error, SubmissionUncertain)


@given(st.sampled_from([400, 404, 422]), REFUSALS.map(as_json), ASSET_IDS)
def test_only_assets_of_the_request_are_said_to_be_gone(status, body, asset_ids) -> None:
    error = asset_gone("POST /it", Answer(status=status, headers={}, body=body), asset_ids)
    assert error is None or set(error.asset_ids) <= set(asset_ids)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_a_refusal_without_end_is_judged_by_its_status(status) -> None:
    answer = Answer(status=status, headers={}, body=as_json({"reason": "asset_1 not found " * 1_000_000}))
    assert submission_problem("POST /it", answer, ["asset_1"] * 8)
    assert len(str(problem("POST /it", answer))) < 100
