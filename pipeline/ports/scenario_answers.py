"""What an answer of the service means: every translation of a status into an error stands here. All of it is pure."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.domain.errors import (
    AssetGone,
    CeilingReached,
    CredentialsError,
    MvmeshError,
    RequestRefused,
    ServiceAnswer,
    ServiceFault,
    SubmissionUncertain,
    Throttled,
)
from pipeline.domain.texts import LONGEST, one_line
from pipeline.ports.http import Answer
from pipeline.ports.retrying import wished_pause_s

QUOTED = 269
"""The status of a dry run."""

Judge = Callable[[str, Answer], MvmeshError | None]
"""Says which error an answer stands for, if any, to the call that is named first."""

_NEVER_EXECUTED = frozenset({400, 402, 404, 405, 406, 407, 410, 411, 413, 414, 415, 422, 431})
"""Answers to a submission that prove, beside 401, 403 and 429, that no job was made."""

_ERROR_MAX_BYTES = 256 * 1024
"""Of an error's body that is read as JSON: no refusal needs more words, and parsed it takes twenty times the memory."""

_REQUEST_IDS = ("x-request-id", "x-amzn-requestid", "x-amz-request-id", "cf-ray")
_ABSENCE = re.compile(
    r"not found|not exist|n't exist|unknown|no such|missing|deleted|expired|no longer|cannot find|can't find",
    re.IGNORECASE,
)


def request_id(answer: Answer) -> str:
    """What the service calls this request; empty when it does not say."""
    named = next((answer.headers[name] for name in _REQUEST_IDS if name in answer.headers), "")
    return one_line(named or _text(_error_body(answer), "requestId", "request_id"))


def described(answer: Answer) -> ServiceAnswer:
    """The service's own words on a refusal or fault, made safe to print."""
    body = _error_body(answer)
    inner = body.get("error")
    nested = inner if isinstance(inner, dict) else {}
    names = ("reason", "message", "error", "errorMessage", "detail")
    return ServiceAnswer(
        status=answer.status,
        reason=one_line(_text(body, *names) or _text(nested, *names) or _plain_text(answer)),
        hint=one_line(_text(body, "hint") or _text(nested, "hint") or _text(_details(body), "hint")),
        request_id=request_id(answer),
    )


def problem(what: str, answer: Answer) -> MvmeshError | None:
    """The error that an answer stands for, to a request that may be repeated; None for any success (2xx)."""
    if 200 <= answer.status < 300:  # noqa: PLR2004 - RFC 9110's classes
        return None
    said = described(answer)
    if denied := _denied(what, answer, said):
        return denied
    if 300 <= answer.status < 400:  # noqa: PLR2004
        return _redirected(what, answer, said)
    if not _may_repeat(answer):
        return _refused(what, said)
    kind = Throttled if answer.status in {429, 503} else ServiceFault
    return kind(f"{what}: {said}", retry_after_s=wished_pause_s(answer.headers), answer=said)


def final_on(*statuses: int) -> Judge:
    """As ``problem``, for a call to which these statuses are plain refusals: they tell nothing of our credentials, and
    another try gets the same.
    """

    def judge(what: str, answer: Answer) -> MvmeshError | None:
        return _refused(what, described(answer)) if answer.status in statuses else problem(what, answer)

    return judge


def quote_problem(what: str, answer: Answer, asset_ids: Iterable[str]) -> MvmeshError | None:
    """As ``problem``, for a dry run, which is agreed to be answered with 269 and may speak of assets."""
    if _is_page(answer):
        return ServiceFault(f"{what}: HTTP {answer.status} and a page for people: a gateway answered, not the service")
    if 200 <= answer.status < 300 and answer.status != QUOTED:  # noqa: PLR2004
        return SubmissionUncertain(
            f"{what}: HTTP {answer.status} instead of {QUOTED}: the service may have made a job of a dry run "
            f"({described(answer)})",
            mend="look at the service's job list before anything is submitted",
        )
    return asset_gone(what, answer, asset_ids) or problem(what, answer)


def submission_problem(what: str, answer: Answer, asset_ids: Iterable[str]) -> MvmeshError | None:
    """The error that an answer to a generate POST stands for; None for a success other than a quote.

    Whatever does not prove that no job was made is SubmissionUncertain; ``x-should-retry`` proves nothing.
    """
    if 200 <= answer.status < 300 and answer.status != QUOTED:  # noqa: PLR2004
        return None
    said = described(answer)
    if answer.status == 429:  # noqa: PLR2004
        return _over_limit(what, answer, said)
    if answer.status in _NEVER_EXECUTED:
        return asset_gone(what, answer, asset_ids) or _refused(what, said)
    return _denied(what, answer, said) or uncertain(f"{what}: {said}")


def uncertain(why: str) -> SubmissionUncertain:
    return SubmissionUncertain(
        f"{why}; whether a job was made is not known",
        mend="nothing is sent again: the service's job list will tell; run again later",
    )


def asset_gone(what: str, answer: Answer, asset_ids: Iterable[str]) -> AssetGone | None:
    """AssetGone when a refusal says that assets of the inputs are not there: a 404 that speaks of an asset, or a 400 or
    422 that names one of ours and its absence ("asset_1 is too small" is another matter).
    """
    if answer.status not in {400, 404, 422}:
        return None
    body = _error_body(answer)
    text = json.dumps(body, ensure_ascii=False) if body else ""
    named = tuple(one for one in asset_ids if re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", text))
    speaks = bool(named) or (answer.status == 404 and "asset" in text.lower())  # noqa: PLR2004
    if not speaks or (answer.status != 404 and not _ABSENCE.search(text)):  # noqa: PLR2004
        return None
    said = described(answer)
    return AssetGone(f"{what}: {said}", asset_ids=named, answer=said)


def _denied(what: str, answer: Answer, said: ServiceAnswer) -> CredentialsError | None:
    if answer.status == 401:  # noqa: PLR2004
        return CredentialsError(
            f"{what}: the service does not take these credentials: {said}",
            mend="check SCENARIO_SDK_API_KEY and SCENARIO_SDK_API_SECRET against the project's API keys",
        )
    if answer.status == 403:  # noqa: PLR2004
        return CredentialsError(
            f"{what}: the service forbids it: {said}",
            mend="the team's plan may lack this model, or the key this project: see what the service says",
        )
    return None


def _over_limit(what: str, answer: Answer, said: ServiceAnswer) -> CeilingReached | Throttled:
    pause_s = wished_pause_s(answer.headers)
    ceiling = _details(_error_body(answer)).get("actionLimit")
    if isinstance(ceiling, int | float) and not isinstance(ceiling, bool) and ceiling >= 1:
        return CeilingReached(f"{what}: {said}", ceiling=int(ceiling), retry_after_s=pause_s, answer=said)
    return Throttled(f"{what}: {said}", retry_after_s=pause_s, answer=said)


def _may_repeat(answer: Answer) -> bool:
    """The service's own word in ``x-should-retry``, else what the status means."""
    word = answer.headers.get("x-should-retry", "").strip().lower()
    if word in {"true", "false"}:
        return word == "true"
    return answer.status in {408, 409, 429} or not 400 <= answer.status < 500  # noqa: PLR2004


def _refused(what: str, said: ServiceAnswer) -> RequestRefused:
    return RequestRefused(f"{what}: {said}", mend=said.hint, answer=said)


def _is_page(answer: Answer) -> bool:
    """A success that a hotel's portal or a gateway made up: the service launches no job with a page."""
    is_html = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html"
    return is_html and 200 <= answer.status < 300  # noqa: PLR2004


def _redirected(what: str, answer: Answer, said: ServiceAnswer) -> RequestRefused:
    """Following it would carry the credentials elsewhere, or repeat a POST."""
    target = one_line(answer.headers.get("Location", "").partition("?")[0])
    return RequestRefused(
        f"{what}: the service redirects to {target or 'nowhere'}, which is not followed (HTTP {answer.status})",
        mend="set the service's base URL to where it really is",
        answer=said,
    )


def _error_body(answer: Answer) -> Mapping[str, Any]:
    if len(answer.body) > _ERROR_MAX_BYTES:
        return {}
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _details(body: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = body.get("error")
    details = body.get("details") or (inner.get("details") if isinstance(inner, dict) else None)
    return details if isinstance(details, dict) else {}


def _text(body: Mapping[str, Any], *names: str) -> str:
    return next((body[name] for name in names if isinstance(body.get(name), str) and body[name]), "")


def _plain_text(answer: Answer) -> str:
    """The body itself when it is a plain sentence; a gateway's HTML page is not worth reading."""
    is_plain = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/plain"
    return answer.body[: 4 * LONGEST].decode(errors="replace") if is_plain else ""
