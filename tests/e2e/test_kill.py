# SPDX-License-Identifier: ISC
"""A sample of tests/crash/kill.py; `make soak` kills a thousand times."""

import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

import kill  # noqa: E402
from house import BUILD, Skip  # noqa: E402


def test_judgement_of_copies():
    """a second copy is excused by a death near it, and what passed while the machine stood still is no time"""
    def judged(died, said, pauses=(), known=None, how="next", whom="queue"):
        r = object.__new__(kill.Round)
        r.kills, r.pauses = [(died - 0.01, died, whom)], kill.Pauses(time.time)
        r.pauses.list = list(pauses)
        r.cut, r.untold, r.unwritten = kill.Counter(), kill.Counter(), kill.Counter()
        a, b = object.__new__(kill.Arrival), object.__new__(kill.Arrival)
        a.came, a.said, a.how, b.came = said - 0.02, said, how, 120.0
        return r.unexplained(a, b, known, lambda known, when: False) is None

    assert judged(100.0, 100.3) and judged(100.0, 99.5)
    assert not judged(100.0, 102.0), "nothing died near it"
    assert not judged(100.0, 98.0), "the reply was read long before"
    assert judged(100.0, 98.0, how="reset")
    # The receiver got it late, or the reply was not read yet, for nobody ran.
    assert judged(100.0, 106.0, [(100.1, 105.8)]) and not judged(100.0, 106.0, [(103.0, 105.8)])
    assert judged(100.0, 95.0, [(95.1, 99.9)]) and not judged(100.0, 95.0, [(90.0, 95.0), (97.0, 98.0)])
    assert not judged(100.0, 99.9, known=99.95, whom="delivery")


def test_kills():
    """15 kills of one role or all under load: nothing is lost, nothing comes twice without need"""
    run = kill.Round(15, seed=int(time.time()))
    assert run.promised, run.summary()
    assert not run.failures, run.summary() + "\n" + "\n".join(run.failures[:10])


def test_kills_of_a_daemon_that_promises_too_early():
    """a daemon that answers before it writes is caught losing mail"""
    if not os.path.exists(f"{BUILD}/tests/crash/fail.so"):
        raise Skip("not with sanitizers")
    for seed in range(1, 8):  # when a kill comes is chance, and a write is soon done
        run = kill.Round(4, seed=seed, roles=["queue", "all"], early=True)
        if run.lost:
            return
    raise AssertionError(run.summary())
