# SPDX-License-Identifier: ISC
"""When nothing ran here for a while, because the machine was too busy or stood still: nobody read or wrote anything then."""

import threading
import time

BEAT_S = 0.1


class Pauses:
    """From now on, by the given clock."""

    def __init__(self, clock):
        self.clock, self.list = clock, []  # (begin, end)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        last = self.clock()
        while True:
            time.sleep(BEAT_S)
            now = self.clock()
            if now - last > 2 * BEAT_S:
                self.list.append((last + BEAT_S, now))
            last = now

    def ran(self, begin, end):
        """Seconds between two moments, less the pauses."""
        return end - begin - sum(max(0, min(end, b) - max(begin, a)) for a, b in list(self.list))
