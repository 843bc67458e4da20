"""Bodies that need no template engine: those without any mark of one, made where they are wanted.

Everything else is rendered by a worker (template.py), which a template can keep busy. Source:
docs/design/durability.md "Faults and what must hold".
"""

from marianned.score.expanded import ExpandedScore

_MARKS = ("{{", "{%", "{#", "\r")
"""What the engine would do something with: it makes one of two characters that end a line, too."""
_MOST = 64 * 1024
"""Characters that are looked through in less time than a thread takes."""


def plain_body(expanded: ExpandedScore) -> str | None:
    """Return the body of every sheet where a score's template is just that; None: it has to be rendered."""
    template = expanded.prompt.template
    if template is None or len(template) > _MOST or any(mark in template for mark in _MARKS):
        return None
    try:
        template.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return None  # whose error it is, the engine says
    return template
