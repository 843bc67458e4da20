"""Whether the whole answer of an agent is a refusal: the words of a service, and no work.

Some tools print a refusal where their result stands, end with 0, and call it a success. An answer may speak
of limits as it likes; only where it is nothing but a sentence by which a service refuses whoever uses it,
with advice behind it at the most, it is none. Source: docs/reference/score-format.md §15.2.

tests/unit/instruments/answers.yaml has refusals, and honest answers that look like them.
"""

import re

from marianned.instruments.recognising import DECORATION, SPAN, error_lines, pattern_of_any, recognise

_LONGEST = 1_500
_MOST_LINES = 3
_END = (
    r"(?:\W*\Z|\W{0,3}(?:[.·∙•|(/!]|\s[–—-]\s).*"
    r"|\W+(?:please|try|retry|wait|resets?|upgrade|subscribe|add|sign|log|visit|contact)\b.*)"
)
_BEFORE = (
    r"(?:(?:error|fatal|failed|unexpected error|server error|model call failed|execution failed|\[?api error|"
    r"error from provider(?: \([^)]*\))?|stream disconnected before completion|stream error|sorry|"
    r"(?:error |status |http )?[45]\d\d(?: too many requests| unauthorized| payment required)?)\W+)*"
)
_IS = r"(?:\W+(?:has been|have been|has|have|was|were|is|are)(?: currently| temporarily| not)?)?"
_SENTENCES = re.compile(
    _BEFORE
    + "(?:"
    + pattern_of_any(
        # what has been used up
        r"you(?:['’]ve| have) (?:hit|reached|exceeded|exhausted|used up|used all(?: of)?|run out of|spent)\W+"
        r"(?:(?:your|the|our|its|a|an|all|this|my)[^\w:;,.]+)+(?:[\w()'’%/-]+[^\w:;,.]+){0,6}?"
        r"(?:limits?|quota|usage|capacity|credits?|allowance|cap|requests|tokens|messages|balance|budget)\b.*",
        r"you(?:['’]ve| have) been rate.?limited\b.*",
        r"you exceeded your .*",
        rf"you(?:['’]re| are) out of\W+(?:\w+\W+){{0,3}}?(?:usage|credits?|funds|requests|messages|tokens|quota){_END}",
        r"you (?:have|do not have|don['’]t have)\W+(?:no|any|enough)\W+(?:\w+\W+){0,2}?(?:quota|credits?)\b.{0,80}",
        rf"(?:the )?(?:claude|codex|gemini|copilot|cursor|qwen)?(?: ai| code)?\W?(?:{SPAN}\W+){{1,3}}limit{_IS}\W+"
        rf"(?:reached|exceeded|hit){_END}",
        rf"(?:provider )?rate limit{_IS} (?:reached|exceeded|hit)(?:\W+for [^,;]{{1,90}}\b(?:in|on)\b.*|{_END})",
        r"too many requests\W+(?:please|try|retry|wait|you)\b.*",
        rf"(?:\w+ ){{0,3}}?(?:quota|credits?|usage|allowance){_IS} (?:exceeded|reached|exhausted|depleted|used up)"
        rf"(?:\W+(?:please|check|add|subscribe|contact)\b.*|{_END})",
        rf"resources?{_IS} exhausted{_END}",
        rf"insufficient (?:quota|balance|credits?|funds){_END}",
        rf"(?:your )?credit balance (?:is )?too low(?: to access [^.]*)?{_END}",
        rf"your .*\b(?:limit|quota|allowance|funds|credits?)\b.*\b(?:reset|set to|depleted|exhausted|exceeded|reached|used up)\b{_END}",
        # whom it does not know
        rf"(?:you are |you['’]re )?not (?:logged|signed) in(?: ?to \w+)?{_END}",
        rf"(?:invalid|incorrect|missing|expired|no) (?:x-)?api[ -]?key(?: (?:provided|found|set|configured|given))?{_END}",
        rf"(?:authentication|login) (?:is )?(?:required|failed|expired){_END}",
        rf"(?:please )?run \W?(?:\w+ )?/?login\W?{_END}",
        rf"(?:your |the |oauth )?(?:access |refresh |oauth )?(?:token|login|session|api key|credentials?)"
        rf"{_IS}\W*(?:could not be refreshed|expired|revoked|no longer valid)\W*[.·]+ .*\b(?:log|sign|login|token|again)\b.*",
        rf"(?:your |this )?(?:account|organi[sz]ation){_IS} (?:disabled|suspended|deactivated|banned){_END}",
        # what can't just now
        rf"(?:(?:the |this |selected )?(?:model|server|service|engine|inference)\b.{{0,30}}\bis|we are) (?:currently |temporarily )?"
        rf"(?:at capacity|overloaded|busy|unavailable){_END}",
        r"(?:访问量过大|余额不足|该模型当前访问量过大|您的账户已达到)[^\n]*",
        # what only a tool or a library says
        r"\[?api error\W*[(:].*",
        r"(?:litellm|openai|anthropic|httpx|google\.\w+|botocore)\.[\w.]*(?:error|exception)\b\s*:.*",
        r"(?:error code: )?[45]\d\d\W{1,4}(?:- )?\{ ?['\"](?:error|type|message)['\"]: .*",
        r"the api provider (?:has|is|'s)\b.*",
        r"exceeded retry limit, last status: [45]\d\d\b.*",
    ).pattern
    + ")",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\W*(?:/\w|please\b|visit\b|to (?:continue|get|upgrade|keep)\b|https?:|upgrade\b|try\b|if it persists\b|"
    r"your limit\b|see\b|contact\b|run\b|request.id\b|\(request id)",
    re.IGNORECASE,
)
_FURTHER = re.compile(
    _ADVICE.pattern.removesuffix(")")
    + r"|retry\b|wait\b|check\b|add\b|go to\b|use\b|switch\b|subscribe\b|purchase\b|sign\b|log\b|or\b|for more\b|make sure\b|"
    r"fix\b|if (?:it|this|you|the)\b|you can\b|you (?:may|must|need)\b|it (?:will )?resets?\b|resets?\b|note:|"
    r"this (?:is (?:a (?:server|temporary)|usually)|may\b|account|organi[sz]ation)|"
    r"(?:your|the|its) (?:\w+ ){0,2}?(?:limits?|quota|usage|capacity)\W+(?:will|resets?|is)\b|(?:limit|used|requested|current)\b\W+\d)",
    re.IGNORECASE,
)
"""What a refusal goes on with, in its own line."""
_UNMISTAKABLE = re.compile(
    r"(?:claude (?:ai )?)?usage limit reached\|\d{10}"
    r"|you(?:['’]ve| have) (?:hit|reached) your (?:[\w'’-]+ ){0,3}limit\W{1,3}resets .{1,60}",
    re.IGNORECASE,
)
"""Which form no answer about anything has, however long the agent worked before it."""
_PARTS = re.compile(r"[.!;?]\s+|\s[–—]\s")
_SENTENCE_END = re.compile(r"\W*[.·∙•|]\s")
_OF_TOOLS = re.compile(
    r"\W*(?:api error\W*[(:]|litellm\.|(?:error code:|error:|api error)?\W*[45]\d\d\W{1,4}(?:- )?\{|the api provider|(?:your )?credit balance|this (?:account|organi[sz]ation) |\w*[访余该您])",
    re.IGNORECASE,
)
"""What is a refusal whatever it is about."""


def is_refusal(answer: str, *, worked: bool = False) -> bool:
    """Tell whether an answer is nothing but the words by which a service refuses.

    Args:
        answer: the whole of it.
        worked: the tool calls it a success, and tells of more work than a sentence takes.
    """
    if len(answer) > _LONGEST:
        return False
    lines = [line for raw in answer.splitlines() if (line := raw.strip(DECORATION))]
    if not 1 <= len(lines) <= _MOST_LINES or not all(_ADVICE.match(line) for line in lines[1:]):
        return False
    said = lines[0]
    if worked:
        return _UNMISTAKABLE.fullmatch(said) is not None
    if _SENTENCES.fullmatch(said) is None or "`" in said or not _only_advice_behind(said):
        return False
    if _OF_TOOLS.match(said) is not None:
        return True
    first = _SENTENCE_END.split(said, maxsplit=1)[0]
    return any(error_lines(f"{first}\n{said}")) and recognise(said) is not None


def _only_advice_behind(said: str) -> bool:
    """Tell whether all that follows the first sentence is what a service advises."""
    further = _PARTS.split(said.partition("{")[0])[1:]
    return all(_FURTHER.match(part) for part in further if part.strip(" .\"')]"))
