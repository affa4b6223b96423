# SPDX-License-Identifier: ISC
"""A sample of tests/crash/kill.py; `make soak` kills a thousand times."""

import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

import kill  # noqa: E402
from house import BUILD, Skip  # noqa: E402


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
