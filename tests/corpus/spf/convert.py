#!/usr/bin/python3
# SPDX-License-Identifier: ISC
r"""
Writes cases.txt, which test_spf reads, from rfc7208-tests.yml:  python3 convert.py

    zone                                        a new world; all names of the last one are gone
    rr NAME TYPE TEXT                           TYPE is A AAAA MX PTR TXT CNAME or TIMEOUT
    case NAME|IP|HELO|MAIL FROM|RESULT[,RESULT]|EXPLANATION
A space in a name is \032, as zone files have it. Octets outside printable ASCII, "%" and "|" are written %XX.
"""

import os

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))


def quote(text):
    return "".join(chr(o) if 32 <= o < 127 and o not in b"%|" else f"%{o:02X}" for o in text.encode("latin-1" if max(map(ord, text), default=0) < 256 else "utf-8"))


def joined(value):
    return "".join(value) if isinstance(value, list) else str(value)


def records(entries):
    """SPF stands for TXT unless the name says otherwise (TXT: NONE)."""
    own_txt = any(isinstance(e, dict) and "TXT" in e for e in entries)
    out = []
    for entry in entries:
        if entry == "TIMEOUT":
            out.append(("TIMEOUT", ""))
            continue
        (kind, value), = entry.items()
        if kind == "SPF" and own_txt or value == "NONE":
            continue
        if kind == "MX":
            value = f"{value[0]} {value[1]}"
        out.append(("TXT" if kind == "SPF" else kind, joined(value)))
    return out


with open(f"{HERE}/rfc7208-tests.yml") as source, open(f"{HERE}/cases.txt", "w") as out:
    for world in yaml.safe_load_all(source):
        print("zone", file=out)
        for name, entries in world["zonedata"].items():
            for kind, text in records(entries):
                print("rr", quote(name).replace(" ", "\\032"), kind, quote(text), file=out)
        for name, case in world["tests"].items():
            results = case["result"] if isinstance(case["result"], list) else [case["result"]]
            print("case " + "|".join([name, case["host"], quote(case["helo"]), quote(case["mailfrom"] or ""),
                                      ",".join(results), quote(case.get("explanation") or "")]), file=out)
