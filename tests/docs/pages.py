"""The pages: which there are, the blocks with commands in them, the files they show, their generated regions."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# file: (\S+)\n")
_REGION = re.compile(r"(<!-- generated: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_EXIT = re.compile(r"  # exit (\d+)$")


class Example(NamedTuple):
    """A command that a page shows after `$ `, the exit code it tells, and what it prints."""

    command: str
    code: int
    output: str


def text_of(name):
    return (ROOT / name).read_text()


def examples(text):
    """Return the commands of a page, in order, each with its output."""
    found = []
    for language, block in _BLOCK.findall(text):
        if language != "console":
            continue
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                command = line[2:-1]
                told = _EXIT.search(command)
                found.append(Example(_EXIT.sub("", command), int(told[1]) if told else 0, ""))
            else:
                found[-1] = found[-1]._replace(output=found[-1].output + line)
    return found


def with_outputs(text, outputs):
    """Return a page whose examples print these outputs, in order."""
    left = iter(outputs)

    def block(match):
        if match[1] != "console":
            return match[0]
        prompts = [line for line in match[2].splitlines(keepends=True) if line.startswith("$ ")]
        return "```console\n" + "".join(prompt + next(left) for prompt in prompts) + "```"

    return _BLOCK.sub(block, text)


def files(text):
    """Return the files that a page shows: blocks whose first line is `# file: NAME`."""
    return {told[1]: block[told.end() :] for _, block in _BLOCK.findall(text) if (told := _FILE.match(block))}


def regions(text):
    """Return the generated regions of a page: name to text."""
    return {name: body for _, name, body, _ in _REGION.findall(text)}


def with_regions(text, bodies):
    """Return a page with these generated regions."""
    return _REGION.sub(lambda match: match[1] + bodies[match[2]] + match[4], text)
