# SPDX-License-Identifier: ISC
"""A sample of tests/crash/power.py; `make soak` runs the rest."""

import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))

import disk  # noqa: E402
import power  # noqa: E402
from house import BUILD, Skip  # noqa: E402


def sample(file_system, points):
    reason = disk.why_not()
    if reason:
        raise Skip(reason)
    if not disk.has(file_system):
        raise Skip(f"no {file_system} here")
    run = power.crash(file_system, points, 2, seed=int(time.time()), daemon_every=points // 2)
    assert run.checked > 0, run.summary()
    assert not run.failures, run.summary() + "\n" + "\n".join(run.failures[:20])


def test_power_loss_ext4():
    """50 losses of power on ext4: all that was promised is there, whole, once"""
    sample("ext4", 50)


def test_power_loss_xfs():
    """25 losses of power on XFS: all that was promised is there, whole, once"""
    sample("xfs", 25)


def test_power_loss_btrfs():
    """25 losses of power on btrfs: all that was promised is there, whole, once"""
    sample("btrfs", 25)


def test_power_loss_without_sync():
    """a daemon whose syncs do nothing is caught losing mail"""
    reason = disk.why_not()
    if reason:
        raise Skip(reason)
    if not os.path.exists(f"{BUILD}/tests/crash/fail.so"):
        raise Skip("not with sanitizers")
    run = power.crash("ext4", 5, 1, seed=1, lie=True)
    assert any(": lost " in f for f in run.failures), run.summary()
