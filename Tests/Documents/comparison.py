"""Whether a command printed what a page shows."""
import re

# What depends on the machine, and what depends on every byte of an archive. Both texts are masked before they are compared.
MASKS = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    (re.compile(r"(memory: about|free disk) [0-9.]+ [kMG]?B"), r"\1 <size>"),
    (re.compile(r"\babout [0-9.]+ (ms|s|min|h)\b"), "about <time>"),
    (re.compile(r"\b[0-9.]+ (ms|s|min|h)\b"), "<time>"),
    (re.compile(r"\b[0-9.]+ [kMG]?B/s"), "<speed>"),
    (re.compile(r"\bplan [0-9a-f]{12}\b"), "plan <digest>"),
)
# Numbers that come of sums in floating point, and so of the BLAS's kernels: those with a fraction, sizes, places in files and ratios. They may differ by
# this share, or by a unit in the last place. Measured between two kinds of processors: 0.3 % of a size. All others are counts.
ROUNDED = re.compile(r"\d+\.\d+(?:e-?\d+)?|\d+(?= [kMG]B\b| bytes\b|×)|(?<=byte )\d+|(?<=bytes )\d+|(?<= to )\d+|(?<=takes )\d+")
SHARE = 0.01
ELISION = "…"


def masked(line):
    """The line with masks, and with one blank or one bar in place of several: columns are as wide as their numbers."""
    for pattern, replacement in MASKS:
        line = pattern.sub(replacement, line)
    return re.sub(r"─+", "─", re.sub(r" +", " ", line)).strip()


def place(number):
    """The value of a unit in the last place of a number as it is written."""
    digits, _, exponent = number.partition("e")
    fraction = digits.partition(".")[2]
    return 10.0 ** (int(exponent or 0) - len(fraction))


def same_number(shown, printed):
    allowed = max(place(shown), place(printed), SHARE * abs(float(shown)))
    return abs(float(shown) - float(printed)) <= 1.001 * allowed


def same_line(shown, printed):
    shown, printed = masked(shown), masked(printed)
    if shown == printed:
        return True
    if ROUNDED.sub("#", shown) != ROUNDED.sub("#", printed):
        return False
    return all(map(same_number, ROUNDED.findall(shown), ROUNDED.findall(printed)))


def same(shown, printed):
    """Whether the lines agree. A line of the page that is … alone stands for any lines, also for none."""
    if not shown:
        return not printed
    if shown[0].strip() == ELISION:
        return any(same(shown[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and same_line(shown[0], printed[0]) and same(shown[1:], printed[1:])
