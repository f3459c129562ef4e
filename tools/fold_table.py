#!/usr/bin/python3
"""Writes src/jose/fold_table.h: which characters a reader of JSON may take for others. `--check` says whether the file
is what this would write; it needs a Python of the Unicode version that the file names."""

import sys
import unicodedata
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "src/jose/fold_table.h"
# Default_Ignorable_Code_Point of DerivedCoreProperties.txt, which Python's module lacks.
IGNORED = [(0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
           (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
           (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)]
# Simple case mappings that full folding has not: I with a dot above, and i without (Go's and Java's comparisons).
TURKISH = {0x130: "i", 0x131: "i"}
# Outlined letters and digits: newer than the tables of Debian's Python.
UNICODE_16 = ({0x1CCD6 + at: chr(ord("a") + at) for at in range(26)} |
              {0x1CCF0 + at: chr(ord("0") + at) for at in range(10)})
HEAD = """/* jose/fold_table.h: made by tools/fold_table.py from Unicode %s; for fold.c alone. */
#ifndef JOSE_FOLD_TABLE_H
#define JOSE_FOLD_TABLE_H

#include <stdint.h>

/* clang-format off */"""


def folded(code):
    """NFKC_Casefold of one character; of those that are more than one character, only ASCII is of interest."""
    if code in TURKISH | UNICODE_16:
        return (TURKISH | UNICODE_16)[code]
    char = text = chr(code)
    for _ in range(3):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    if text.isascii():
        return text
    simple = char.casefold()
    return simple if len(simple) == 1 else char


def is_ignored(code):
    return any(first <= code <= last for first, last in IGNORED)


def mappings():
    codes = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF and not is_ignored(code)]
    return {code: text for code in codes if (text := folded(code)) != chr(code)}


def runs(singles):
    """(first, last, step, to): every step-th character from first to last becomes the one as far from `to`."""
    made = []
    for code, to in sorted(singles.items()):
        if made:
            first, last, step, begin = made[-1]
            if to - code == begin - first and (code - last == step or (first == last and code - last <= 2)):
                made[-1] = (first, code, code - last, begin)
                continue
        made.append((code, code, 1, to))
    return made


def lines(items, width=116):
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > width:
            yield line
            line = "   "
        line += " " + item + ","
    yield line


def table(version):
    found = mappings()
    singles = {code: ord(text) for code, text in found.items() if len(text) == 1}
    texts = {code: text for code, text in found.items() if len(text) > 1}
    out = [HEAD % version, "/* Every `step`th character from `first` to `last` becomes the one as far from `to`. */",
           "static const struct fold_run {", "    uint32_t first, last, step, to;", "} runs[] = {",
           *lines(f"{{ 0x{first:X}, 0x{last:X}, {step}, 0x{to:X} }}" for first, last, step, to in runs(singles)), "};",
           "", "/* One character that stands for several. */", "static const struct fold_text {", "    uint32_t code;",
           "    char text[8];", "} texts[] = {"]
    quoted = {code: text.replace("\\", "\\\\").replace('"', '\\"') for code, text in texts.items()}
    out += [*lines(f'{{ 0x{code:X}, "{text}" }}' for code, text in quoted.items()), "};", "",
            "/* What is not seen at all: Default_Ignorable_Code_Point. */", "static const struct fold_gap {",
            "    uint32_t first, last;", "} gaps[] = {",
            *lines(f"{{ 0x{first:X}, 0x{last:X} }}" for first, last in IGNORED), "};", "/* clang-format on */", "",
            "#endif", ""]
    assert max(map(len, texts.values())) < 8
    return "\n".join(out)


def main():
    text = table(unicodedata.unidata_version)
    if sys.argv[1:] == ["--check"]:
        sys.exit(OUT.read_text() != text)
    OUT.write_text(text)


if __name__ == "__main__":
    main()
