"""Clock windows: the hours of the day in which submissions may begin."""

import re
from dataclasses import dataclass
from datetime import datetime, time

_TEXT = re.compile(r"(\d{1,2}):(\d{2}) *- *(\d{1,2}):(\d{2})")
_MIDNIGHT = (24, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From ``begins`` up to, and without, ``ends``, every day; over midnight where it ends before it begins.

    It is the clock on the wall that counts. When the clocks change, a window is an hour longer or shorter by that, is
    open twice in the hour that comes twice, and stays shut where it lies wholly in the hour that is left out.
    """

    begins: time
    ends: time

    def __post_init__(self) -> None:
        if self.begins == self.ends:
            raise ValueError("a window ends when it begins: for the whole day leave it out")

    def is_open(self, local: datetime) -> bool:
        """Whether submissions may begin at this time, as the machine's clock shows it."""
        now = local.time()
        if self.begins < self.ends:
            return self.begins <= now < self.ends
        return now >= self.begins or now < self.ends

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


def window_of(text: str) -> Window:
    """The window of ``22:00-06:00``; ``24:00`` is midnight at its end.

    Raises:
        ValueError: no such text, no such time of day, or a window without an inside.
    """
    found = _TEXT.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no window")
    begins, ends = (int(found[1]), int(found[2])), (int(found[3]), int(found[4]))
    return Window(begins=time(*begins), ends=time() if ends == _MIDNIGHT else time(*ends))
