#!/usr/bin/env python3
"""Rebuilds the fonts in ../assets from their published packages.

    pip install 'fonttools==4.60.1' brotli
    npm pack inter-ui@4.1.1 @fontsource/noto-sans-arabic@5.3.0 @fontsource/noto-sans-hebrew@5.3.0
    apt-get download fonts-droid-fallback        # 1:6.0.1r16-1.1
    subset_fonts.py DIR    # DIR holds the three unpacked npm packages and the .deb, each in a folder of its name

What is kept: Latin, Greek and Cyrillic with punctuation, arrows and mathematical signs in two
weights (Inter); Arabic and Hebrew (Noto Sans); and the everyday ideographs, kana and hangul of
Chinese, Japanese and Korean (Droid Sans Fallback), chosen by the first level of the national
character sets. Digits are replaced by their tabular forms so that columns of numbers line up.
Kerning is dropped, so that the width of a text is the sum of its advances, as `text.rs` measures it.
"""

import pathlib
import sys

import tempfile

from fontTools import merge, subset
from fontTools.ttLib import TTFont

ASSETS = pathlib.Path(__file__).resolve().parent.parent / "assets"

WESTERN = [
    *range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x192, 0x193), *range(0x1E0, 0x21C), *range(0x2C6, 0x2DE),
    *range(0x300, 0x310), *range(0x370, 0x400), *range(0x400, 0x460), *range(0x490, 0x4A4), *range(0x1E00, 0x1F00),
    *range(0x2010, 0x2028), *range(0x2030, 0x203B), *range(0x2070, 0x2090), *range(0x20A0, 0x20C0), 0x2113, 0x2116,
    0x2122, *range(0x2150, 0x215F), *range(0x2190, 0x219A), 0x21BA, 0x21BB, 0x2202, 0x2206, 0x220F, 0x2211, 0x2212, 0x221A, 0x221E,
    0x222B, 0x2248, 0x2260, 0x2264, 0x2265, 0x25A0, 0x25A1, 0x25B2, 0x25B6, 0x25BC, 0x25CF, 0x25CB, 0x2713, 0x2717, 0xFFFD,
]


def first_levels():
    """Everyday characters of GB 2312, Big5, JIS X 0208 and KS X 1001."""
    ranges = [
        ("gb2312", range(0xB0, 0xD8), range(0xA1, 0xFF)),
        ("big5", range(0xA4, 0xC7), [*range(0x40, 0x7F), *range(0xA1, 0xFF)]),
        ("euc_jp", range(0xB0, 0xD0), range(0xA1, 0xFF)),
        ("euc_kr", range(0xB0, 0xC9), range(0xA1, 0xFF)),
    ]
    found = set(range(0x3000, 0x3100)) | set(range(0xFF01, 0xFF61))
    for codec, leads, trails in ranges:
        for lead in leads:
            for trail in trails:
                try:
                    found.add(ord(bytes([lead, trail]).decode(codec)))
                except (UnicodeDecodeError, TypeError):
                    pass
    return sorted(found)


def write(source, name, family, unicodes, features=(), tabular=False):
    font = TTFont(source)
    font.flavor = None
    if tabular:
        for table in font["cmap"].tables:
            for code in range(0x30, 0x3A):
                glyph = table.cmap.get(code)
                if glyph and glyph + ".tf" in font.getGlyphOrder():
                    table.cmap[code] = glyph + ".tf"
    options = subset.Options(layout_features=list(features), hinting=False, name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14],
                             notdef_outline=True, glyph_names=False, drop_tables=["DSIG", "STAT", "MATH", "BASE", "vhea", "vmtx"],
                             recalc_timestamp=False)
    work = subset.Subsetter(options)
    work.populate(unicodes=unicodes)
    work.subset(font)
    # One family name for both weights, and none of "Thin" for a static cut of a variable font.
    for record in font["name"].names:
        if record.nameID == 1:
            record.string = family
    path = ASSETS / name
    font.save(path)
    print(f"{name}: {path.stat().st_size} bytes, {len(font.getGlyphOrder())} glyphs, family {font['name'].getDebugName(1)!r}")


def main(root):
    root = pathlib.Path(root)
    one = lambda pattern: next(iter(sorted(root.glob(pattern))))
    write(one("**/web/Inter-Regular.woff2"), "Inter-Regular.ttf", "Inter", WESTERN, tabular=True)
    write(one("**/web/Inter-SemiBold.woff2"), "Inter-SemiBold.ttf", "Inter", WESTERN, tabular=True)
    joining = ["init", "medi", "fina", "isol", "rlig", "ccmp", "calt", "mark"]
    # A label in Arabic is shaped in one font only if that font has its spaces and digits too: the
    # rasteriser cannot mix fonts where letters join to ligatures. Hence basic Latin comes along.
    ascii = range(0x20, 0x7F)
    arabic = [*range(0x600, 0x700), *range(0x200B, 0x2010), *ascii]
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for part in ("arabic", "latin"):
            font = TTFont(one(f"**/noto-sans-arabic-{part}-400-normal.woff2"))
            font.flavor = None
            parts.append(f"{folder}/{part}.ttf")
            font.save(parts[-1])
        merge.Merger().merge(parts).save(f"{folder}/both.ttf")
        write(f"{folder}/both.ttf", "NotoSansArabic-Regular.ttf", "Noto Sans Arabic", arabic, joining)
    hebrew = [*range(0x590, 0x600), 0x20]
    write(one("**/noto-sans-hebrew-hebrew-400-normal.woff2"), "NotoSansHebrew-Regular.ttf", "Noto Sans Hebrew", hebrew)
    write(one("**/truetype/DroidSansFallback.ttf"), "DroidSansFallback.ttf", "Droid Sans Fallback", [*first_levels(), 0x20])


if __name__ == "__main__":
    main(sys.argv[1])
