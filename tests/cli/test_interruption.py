import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows ends a process instead of sending it a signal")

PROGRAM = """
import signal, sys
import anyio
from pipeline.cli.interruption import interruption

before = signal.getsignal(signal.SIGTERM)

async def main(way):
    async with interruption() as signals:
        if way != "early":
            signals.let_finish()
        print("ready", flush=True)
        if way == "asking":
            with signals.asking():
                sys.stdin.read()
        await signals.stop.wait()
        print("stopping", flush=True)
        if way == "stubborn":
            await anyio.sleep_forever()

try:
    anyio.run(main, sys.argv[1])
except KeyboardInterrupt:
    sys.exit("interrupted")
assert signal.getsignal(signal.SIGTERM) is before
"""


@pytest.fixture
def start():
    started = []

    def start(way: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop(start, number: signal.Signals) -> None:
    process = start("willing")
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "stopping\n", "")


def test_the_second_signal_ends_the_process_at_once(start) -> None:
    process = start("stubborn")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130


def test_before_anything_is_begun_the_first_signal_ends_the_block(start) -> None:
    process = start("early")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (1, "", "interrupted\n")


def test_a_signal_answers_a_question(start) -> None:
    process = start("asking")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 1
    assert process.stderr.read() == "interrupted\n"
