"""In processes of their own: what is set of a heap stays set."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have nothing to set")

FAULTS = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from pipeline.ports.heap import keep_heap
    keep_heap()
for at in range(9):
    if at == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3_000_000, np.uint8) for _ in range(40)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

HELD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
if sys.argv[1] == "kept":
    from pipeline.ports.heap import keep_heap
    keep_heap()
def work(_):
    for count in (1, 40):
        arrays = [np.ones(3_000_000, np.uint8) for _ in range(count)]
for _ in range(4):
    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as other:
        pool.submit(work, 0).result()
        other.submit(work, 0).result()
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def _told(source: str, how: str) -> int:
    done = subprocess.run([sys.executable, "-c", source, how], check=True, capture_output=True, timeout=60)
    return int(done.stdout)


def test_pages_of_arrays_that_come_and_go_are_not_asked_for_again() -> None:
    assert _told(FAULTS, "kept") * 10 < _told(FAULTS, "as it is")


def test_what_one_thread_gives_back_another_one_takes() -> None:
    assert _told(HELD, "kept") < 0.8 * _told(HELD, "as it is")
