# SPDX-License-Identifier: ISC
"""A sample of tests/crash/failing.py; `make soak` fails every call of every role."""

import os
import random
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

import failing  # noqa: E402


def sample(roles, of_each):
    f, kinds = failing.Failing(), {}
    try:
        for case in failing.cases(f, roles):
            kinds.setdefault((case[0], case[1], case[3]), []).append(case)
        assert kinds
        for some in kinds.values():
            for case in random.sample(some, min(of_each, len(some))):
                f.try_one(*case)
        assert not f.failures, "\n".join(f.failures[:10])
        assert f.fired > len(kinds) / 2, f"{f.fired} calls failed as asked, of {len(kinds)} kinds"
    finally:
        f.close()


def test_failing_calls_of_the_queue():
    """a call of the queue fails, once of each kind and error: nothing is lost, nobody hangs"""
    sample(["queue"], 2)


def test_failing_calls_of_the_others():
    """a call of supervisor, smtpd, delivery, keyd and auth fails: nothing is lost, nobody hangs"""
    sample([r for r in failing.ROLES if r != "queue"], 2)
