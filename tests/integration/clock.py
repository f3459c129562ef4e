"""The time of day of one process, set as an operator or a broken NTP server sets it: Debian's libfaketime, which leaves
the clocks alone that nobody sets."""

import os
from pathlib import Path

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
HOUR = 3600


class Clock:
    """Settings for a Server whose time of day is `ahead_s` off, and can be set while it runs."""

    def __init__(self, folder, ahead_s=0):
        self.path = Path(folder) / "clock"
        self.ahead_s = ahead_s
        self.set(ahead_s)
        self.settings = {"LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": self.path, "FAKETIME_NO_CACHE": "1",
                         "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
                         "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else no wait on a condition lasts any time
                         # a sanitizer that looks at the clock while the library begins waits for it for ever
                         "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "exitcode=99") +
                         ":allocator_release_to_os_interval_ms=-1"}

    def set(self, ahead_s):
        """In one step, so that no reader finds the file empty."""
        self.ahead_s = ahead_s
        new = self.path.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}\n")
        new.rename(self.path)
