"""Pages of Markdown: their fenced blocks, commands with what they print, code spans and links."""
import re

FENCE = re.compile(r"^```(\S*)\s*$")


class Block:
    """A fenced block: its language, its lines, and the line of the page, from 1, that the first of them is."""

    def __init__(self, language, line):
        self.language, self.line, self.lines = language, line, []


class Command:
    """A command of a `console` block, and the output that the page shows after it.

    line: of the page, from 1, where the command begins
    shown: lines of output, without blank ones at the end
    first: line of the page, from 1, where the output begins
    """

    def __init__(self, line, text):
        self.line, self.text, self.shown, self.first = line, text, [], line + 1 + text.count("\n")


def blocks(text):
    """The fenced blocks of a page; ValueError where one does not end."""
    found, block = [], None
    for number, line in enumerate(text.split("\n"), 1):
        fence = FENCE.match(line)
        if block is None and fence:
            block = Block(fence[1], number + 1)
        elif block is not None and line == "```":
            found.append(block)
            block = None
        elif block is not None:
            block.lines.append(line)
    if block is not None:
        raise ValueError(f"line {block.line - 1}: the block has no end")
    return found


def commands(block):
    """The commands of a `console` block. A command is a line that begins with "$ ", and those after a backslash at its end."""
    found, more = [], False
    for number, line in enumerate(block.lines, block.line):
        if more:
            found[-1].text += "\n" + line
            found[-1].first = number + 1
            more = line.endswith("\\")
        elif line.startswith("$ "):
            found.append(Command(number, line[2:]))
            more = line.endswith("\\")
        elif found:
            found[-1].shown.append(line)
        elif line.strip():
            raise ValueError(f"line {number}: output before any command")
    for command in found:
        while command.shown and not command.shown[-1].strip():
            command.shown.pop()
    return found


def prose(text):
    """The page with its fenced blocks blanked: as many lines."""
    lines, inside = [], False
    for line in text.split("\n"):
        fence = line == "```" if inside else FENCE.match(line)
        lines.append("" if inside or fence else line)
        if fence:
            inside = not inside
    return "\n".join(lines)


def spans(text):
    """(line, code) of each code span outside of blocks."""
    return [(number, code) for number, line in enumerate(prose(text).split("\n"), 1) for code in re.findall(r"`([^`]+)`", line)]


def links(text):
    """(line, target) of each link and picture outside of blocks and code spans."""
    lines = enumerate(prose(text).split("\n"), 1)
    return [(number, target) for number, line in lines for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line))]


def anchors(text):
    """What headings can be linked by, as GitHub makes it of them."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
