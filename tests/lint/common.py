# SPDX-License-Identifier: ISC
"""What the checks share: which files there are, and how ctags sees them."""

import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRODUCT = ("lib", "auth", "cmd", "delivery", "dkim", "doctor", "queue", "smtpd", "status")
SKIPPED = 77


def files(folders, endings):
    """Paths from the top, sorted, of all files below `folders` that end so."""
    found = []
    for folder in folders:
        for where, names, leaves in os.walk(os.path.join(TOP, folder)):
            names[:] = [n for n in names if n not in ("__pycache__", "corpus", "node_modules", "out")]
            found += [os.path.relpath(os.path.join(where, leaf), TOP) for leaf in leaves if leaf.endswith(endings)]
    return sorted(found)


def lines(path):
    with open(os.path.join(TOP, path), errors="replace") as f:
        return f.read().splitlines()


def functions(paths):
    """(path, name, first line, number of lines) of each function defined in `paths`."""
    done = subprocess.run(["ctags", "--languages=C", "--kinds-C=f", "--fields=+ne", "--output-format=json", "-f", "-", *paths],
                          cwd=TOP, capture_output=True, text=True, check=True)
    for tag in map(json.loads, done.stdout.splitlines()):
        yield tag["path"], tag["name"], tag["line"], tag.get("end", tag["line"]) - tag["line"] + 1


def finish(faults):
    """Print what is wrong and leave with the exit code that tests/run expects."""
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


def skip(reason):
    print(reason)
    sys.exit(SKIPPED)
