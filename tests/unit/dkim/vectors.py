#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Turns the DKIM corpus into C tables: vectors.py CORPUS OUTPUT."""

import base64
import json
import os
import sys


def octets(data):
    """A C expression for a struct str; octal escapes cannot run into what follows them."""
    text = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data)
    lines = [text[i:i + 4000] for i in range(0, len(text), 4000)] or [""]
    return f'{{"{lines[0]}", {len(data)}}}' if len(lines) == 1 else None


def array(data, name, out):
    """Long data as an array of numbers: string literals over 4095 octets are not portable."""
    out.append(f"static const unsigned char {name}[] = {{{','.join(map(str, data))}}};")
    return f"{{(const char *){name}, {len(data)}}}"


def main():
    corpus, output = sys.argv[1:]
    read = lambda *path: open(os.path.join(corpus, *path), "rb").read()
    before, rows, kats, records = [], [], [], []
    for v in json.loads(read("dkim", "vectors.json")):
        data = read("dkim", v["file"])
        if v["lf_stored"]:
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        cells = [f'"{v["file"]}"', array(data + b"", f"message_{len(rows)}", before),
                 f'"{v["body_simple_sha256"]}"', f'"{v["body_relaxed_sha256"]}"', f'"{v["h"]}"',
                 octets(base64.b64decode(v["headers_simple_b64"])), octets(base64.b64decode(v["headers_relaxed_b64"]))]
        rows.append("\t{" + ", ".join(cells) + "},")
    known = json.loads(read("dkim-known", "kat.json"))
    for k in known["signatures"]:
        kats.append(f'\t{{"{k["sha256_b64"]}", "{k["rsa2048_sha256_b64"]}", "{k["ed25519_over_sha256_b64"]}"}},')
    for name, r in known["records"].items():
        records.append(f'\t{{"{name}", "{r["txt"]}"}},')
    dns = json.loads(read("dkim-known", "dns.json"))
    with open(output, "w") as f:
        f.write("/* Made by vectors.py from tests/corpus. */\n")
        f.write("\n".join(before) + "\n\n")
        f.write("static const struct {\n\tconst char *file;\n\tstruct str message;\n\tconst char *body_simple, *body_relaxed, *h;\n"
                "\tstruct str headers_simple, headers_relaxed;\n} vectors[] UNUSED = {\n" + "\n".join(rows) + "\n};\n\n")
        f.write("static const struct {\n\tconst char *digest, *rsa2048, *ed25519;\n} kats[] UNUSED = {\n" + "\n".join(kats) + "\n};\n\n")
        f.write("static const struct {\n\tconst char *file, *txt;\n} records[] UNUSED = {\n" + "\n".join(records) + "\n};\n\n")
        f.write("static const struct {\n\tconst char *name, *txt;\n} dns[] UNUSED = {\n"
                + "\n".join(f'\t{{"{n}", "{t}"}},' for n, t in dns.items()) + "\n};\n")


if __name__ == "__main__":
    main()
