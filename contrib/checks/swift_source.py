"""What the checks share: Swift source without comments and string contents, and the package's description."""

import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def code_only(text):
    """The source with comments and the insides of string literals replaced by spaces; lines and columns stay.

    Code inside an interpolation is kept: it is code.
    """
    out = []
    index, length = 0, len(text)
    # stack of open strings: (closing delimiter, marker before an interpolation's parenthesis, depth of parentheses inside one)
    strings = []

    def blank(part):
        out.append("".join(c if c == "\n" else " " for c in part))

    while index < length:
        inside = strings and strings[-1][2] is None
        if inside:
            close, interpolation, _ = strings[-1]
            if text.startswith(close, index):
                strings.pop()
                blank(close)
                index += len(close)
            elif text.startswith(interpolation, index):
                strings[-1][2] = 1
                blank(interpolation)
                index += len(interpolation)
            elif text[index] == "\\" and interpolation == "\\(":
                blank(text[index:index + 2])
                index += 2
            elif text[index] == "\n" and not close.startswith('"""'):
                strings.pop()  # not closed on its line: not a string after all
                out.append("\n")
                index += 1
            else:
                blank(text[index])
                index += 1
            continue
        if text.startswith("//", index):
            end = text.find("\n", index)
            end = length if end < 0 else end
            blank(text[index:end])
            index = end
            continue
        if text.startswith("/*", index):
            depth, end = 1, index + 2
            while end < length and depth:
                if text.startswith("/*", end):
                    depth, end = depth + 1, end + 2
                elif text.startswith("*/", end):
                    depth, end = depth - 1, end + 2
                else:
                    end += 1
            blank(text[index:end])
            index = end
            continue
        opening = re.compile(r'(#*)("""|")').match(text, index)
        if opening:
            hashes, quote = opening.groups()
            strings.append([quote + hashes, "\\" + hashes + "(", None])
            blank(opening.group())
            index = opening.end()
            continue
        if strings:
            if text[index] == "(":
                strings[-1][2] += 1
            elif text[index] == ")":
                strings[-1][2] -= 1
                if strings[-1][2] == 0:
                    strings[-1][2] = None
        out.append(text[index])
        index += 1
    return "".join(out)


def swift():
    return subprocess.run([str(ROOT / "contrib/quickstart/find-swift")], check=True, capture_output=True, text=True).stdout.strip()


def package():
    """Package.swift as SwiftPM understands it, every optional target included."""
    environment = dict(os.environ, IPSEC_GW_EXTRAS="1")
    run = subprocess.run([swift(), "package", "--package-path", str(ROOT), "dump-package"], capture_output=True, text=True, env=environment)
    if run.returncode != 0:
        raise SystemExit(f"swift package dump-package: {run.stderr}")
    return json.loads(run.stdout)


def sources(folder):
    return sorted(p for p in Path(folder).rglob("*.swift") if ".build" not in p.parts)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1
