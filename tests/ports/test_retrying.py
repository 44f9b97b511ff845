"""Trying again, in virtual time."""

import math
from datetime import timedelta

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from simulated_ports import virtual_time

from pipeline.domain.errors import (
    ConnectionLost,
    CredentialsError,
    NeverSent,
    RequestRefused,
    ServiceFault,
    ServiceUnreachable,
    SubmissionUncertain,
    Throttled,
    UrlExpired,
)
from pipeline.ports.retrying import Tries, moment, persist, wished_pause_s

REPEATED = (ConnectionLost, NeverSent, Throttled, ServiceFault)
FINAL = (CredentialsError, RequestRefused, SubmissionUncertain, UrlExpired)
TRIES = st.builds(
    Tries,
    attempts=st.integers(1, 12),
    total_s=st.floats(0.1, 1000),
    first_wait_s=st.floats(0, 10),
    longest_wait_s=st.floats(0, 60),
)
PAUSES = st.none() | st.floats(0, 500)


@pytest.fixture
def anyio_backend():
    return virtual_time()


def in_virtual_time(test, *args):
    backend, options = virtual_time()
    return anyio.run(test, *args, backend=backend, backend_options=options)


class Fails:
    """A call that ends with one error after the other, and notes when it was made."""

    def __init__(self, *errors: Exception, takes_s: float = 0.0) -> None:
        self.errors = list(errors)
        self.takes_s = takes_s
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(anyio.current_time())
        await anyio.sleep(self.takes_s)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@given(TRIES, st.lists(st.tuples(st.sampled_from(REPEATED), PAUSES), min_size=15, max_size=15), st.floats(0, 100))
def test_no_try_begins_beyond_the_bounds_and_every_wish_is_kept(tries, said, takes_s) -> None:
    call = Fails(*(kind("no", retry_after_s=wish_s) for kind, wish_s in said), takes_s=takes_s)

    async def persists() -> None:
        with pytest.raises(ServiceUnreachable) as caught:
            await persist("GET /it", call, tries)
        assert f"given up after {len(call.times)} tr" in str(caught.value)

    in_virtual_time(persists)
    assert 1 <= len(call.times) <= tries.attempts
    assert call.times[-1] <= tries.total_s * (1 + 1e-9)
    for at, (began, next_began) in enumerate(zip(call.times, call.times[1:], strict=False)):
        pause_s = next_began - began - takes_s
        wish_s = said[at][1] or 0.0
        longest_s = min(tries.first_wait_s * (1 if wish_s else 2**at), tries.longest_wait_s)
        assert wish_s - 1e-6 <= pause_s <= wish_s + longest_s + 1e-6


@given(st.integers(0, 7))
def test_a_try_that_goes_well_ends_it_and_the_others_are_told(failures) -> None:
    heard = []
    call = Fails(*(ConnectionLost(f"cut {one}") for one in range(failures)))
    assert in_virtual_time(persist, "GET /it", call, Tries(tell=heard.append)) == "done"
    assert [str(error) for error in heard] == [f"cut {one}" for one in range(failures)]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FINAL)
async def test_other_errors_pass_at_once(kind) -> None:
    call, heard = Fails(kind("no")), []
    with pytest.raises(kind):
        await persist("GET /it", call, Tries(tell=heard.append))
    assert (len(call.times), heard) == (1, [])


@pytest.mark.anyio
async def test_a_bug_is_not_tried_again() -> None:
    call = Fails(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await persist("GET /it", call, Tries())
    assert len(call.times) == 1


@pytest.mark.anyio
async def test_who_listens_hears_only_of_tries_that_others_follow() -> None:
    heard = []
    with pytest.raises(ServiceUnreachable, match=r"GET /it: given up after 3 tries\. The last one: third") as caught:
        await persist(
            "GET /it",
            Fails(*map(ServiceFault, ("first", "second", "third"))),
            Tries(attempts=3, tell=heard.append),
        )
    assert [str(error) for error in heard] == ["first", "second"]
    assert isinstance(caught.value.__cause__, ServiceFault)


@pytest.mark.anyio
async def test_a_wish_beyond_what_is_left_of_the_time_ends_the_tries() -> None:
    call, heard = Fails(Throttled("busy", retry_after_s=600), Throttled("busy", retry_after_s=600)), []
    with pytest.raises(ServiceUnreachable, match=r"after 2 tries; it wishes a pause of 600 s"):
        await persist("GET /it", call, Tries(tell=heard.append))
    assert len(heard) == 1


HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after-ms", "Date", "retry-after", "x-should-retry"]),
    st.text()
    | st.floats().map(str)
    | st.integers().map(str)
    | st.datetimes().map(lambda it: it.strftime("%a, %d %b %Y %H:%M:%S GMT"))
    | st.datetimes().map(lambda it: it.strftime("%a, %d %b %Y %H:%M:%S -0000"))
    | st.from_regex(
        r"(?a:\w{3}, [0-9]{1,3} \w{3} [0-9]{1,20} [0-9]{1,3}:[0-9]{1,3}:[0-9]{1,3} [-+]?[0-9A-Z]{0,9})", fullmatch=True
    )
    | st.sampled_from(
        [
            "1e400",
            "-1e400",
            "nan",
            "١٢",
            "1_0",
            " 5 ",
            "0x10",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Fri, 31 Dec 9999 23:59:59 " + "9" * 30,
        ]
    ),
)


@given(HEADERS)
@example({"Retry-After": "Fri, 31 Dec 9999 23:59:59 " + "9" * 30})
def test_any_headers_wish_for_a_finite_pause_or_none(headers) -> None:
    pause_s = wished_pause_s(headers)
    assert pause_s is None or (pause_s >= 0 and math.isfinite(pause_s))


@given(st.none() | HEADERS.flatmap(lambda it: st.sampled_from([*it.values(), ""])))
def test_any_text_is_a_moment_with_an_offset_or_none(text) -> None:
    found = moment(text)
    assert found is None or (found - timedelta(days=99)).utcoffset() is not None
