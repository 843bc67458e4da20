"""What model services and their tools say when they refuse: credentials, rate limits, want of capacity.

Two channels are read differently. A tool's own error, out of its structured output, is a message: whatever
in it speaks of a limit means one. Lines of stderr, and of outputs in text form, are talk among which an error
may stand: there only lines that begin as errors do are looked at; code, quotations, log lines and what is
said of other services than the model are none. The kinds are tried in the order of the table; the first that
is found decides.

tests/unit/instruments/messages.yaml has real messages, near_misses.yaml what only looks like one.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from marianned.instruments.languages import in_english

RefusalKind = Literal["auth", "rate_limit", "capacity"]

_LONGEST_ERROR = 4_000
_LONGEST_LINE = 1_000
"""Of a longer message, or line, the beginning and the end are looked at."""
_MOST_LINES = 100
"""How many lines that look like errors are read, the last first."""


class RefusalMatch(NamedTuple):
    """A kind of refusal, and the line that says it."""

    kind: RefusalKind
    line: str


class _RefusalRule(NamedTuple):
    kind: RefusalKind | None
    pattern: re.Pattern[str]


def pattern_of_any(*parts: str) -> re.Pattern[str]:
    """Return the pattern that finds any of these, whatever their case."""
    return re.compile("|".join(f"(?:{part})" for part in parts), re.IGNORECASE)


SPAN = r"(?:session|usage|hourly|daily|weekly|monthly|yearly|\d+.?h(?:ou)?rs?|\d+.?hour|\d+.?day|opus|sonnet|haiku|"
SPAN += (
    r"fable|request|requests|message|messages|spend|spending|billing|plan|account|free|premium|credit|cost|"
)
SPAN += r"token|api|quota|budget|global|model|copilot|tier|rpm|tpm|rpd|concurrency)"
_OVER = r"(?:hit|reached|exceeded?|exceeds|exhausted|used up|depleted|gone over|over)"

_OTHER = pattern_of_any(
    # limits of something else than the account: they are cut out before anything is looked for
    r"(?:disk|inode|storage|file.?system) quota (?:has been |was |is )?exceeded",
    r"\bEDQUOT\b[^\n]*",
    r"context (?:window|length|size|limit)[^.\n]*",
    r"token count[^.\n]*",
    r"(?:exceeds?|over|above) the (?:limit|maximum) of \d+[^.\n]*",
    r"(?:prompt|input|request|conversation|message) (?:is |was )?(?:too long|too large)[^.\n]*",
    r"(?:turns?|step|iteration|recursion|nesting|depth|tool.?calls?|tool.?use|output.?tokens?|max.?tokens|length|"
    r"size|line|character|loop|retry|buffer|redirect)s? (?:limit|maximum)\b"
    r"(?: of \d+)?(?: (?:was|is|has been))?(?: exceeded| reached| hit)?",
    # what the machine has no more of, whoever says it
    r"(?:(?:reached|exceed(?:s|ed|ing)?|hit|over) (?:the |its |a |your )?)?\b(?:heap|memory|mem|ram|rss|cgroup|oom|stack|"
    r"time|wall.?clock|cpu|gpu|file|fd|descriptor|core|disk|inode|storage|space|process|pid|thread|task|overhead|watch(?:er)?|"
    r"inotify|open.?files?|connection|socket|system|kernel|resource|locked.?memory|swap|job|test)(?:es|s)?"
    r"(?:[ -](?:size|usage|space|time|count|overhead|allocation|resource|descriptor|handle))*s? (?:limit|quota|maximum)s?\b"
    r"(?: (?:of|for) [^,;:.\n]{1,60}?)?(?: (?:was|is|has been|have been))?(?: (?:exceeded|reached|hit)\b)?",
    r"\b[ru]limits?\b[^.\n]*",
    r"\bresource (?:temporarily )?unavailable\b",
    r"\bout of memory\b[^.\n]*|\bout.?of.?memory.?error\b|\b(?:cannot|failed to|could not|unable to) allocate\b[^.\n]*",
    r"\bresource.?exhausted\b\W{0,4}(?:oom\b|out of memory|failed to allocate)[^.\n]*",
    r"\btoo many open files\b[^.\n]*|\bno space left on device\b[^.\n]*",
    r"exceeded retry limit,?",
    r"\b(?:process|pid|port|line|issue|test|chunk|page|step|item|request)s? #?\d+\b",
    r"\bexit(?:ed|s)?(?: with)?(?: status| code)* \d+",
    r"max(?:imum)?(?:imal)?[ _](?:number of |output |context |input )?"
    r"(?:turns|steps|iterations|recursion|tokens|length|size|retries)"
    r"[^.\n]{0,40}(?:exceeded|reached)",
    r"(?:limit|maximum) of \d+ (?:turns|steps|iterations|tool calls)[^.\n]*",
    r"(?:token|thinking|rollout|time) budget (?:was |is )?(?:exhausted|exceeded|used up)",
    r"model \S+ has hit a token limit",
)
_RULES = (
    _RefusalRule(
        "capacity",
        pattern_of_any(
            r"not your (?:usage|plan|account|rate)\w* limit",
            r"(?:model|server|service|engine) is (?:currently |temporarily )?(?:at capacity|overloaded|busy)",
            r"(?<!disk )\b(?:currently |is )at capacity",
            r"访问量过大|(?:服务器?|系统|模型)(?:当前)?(?:繁忙|过载)",
        ),
    ),
    _RefusalRule(
        "rate_limit",
        pattern_of_any(
            # what is used up, even where it comes as a 401
            r"\binsufficient\W+(?:\w+\W+){0,2}?(?:balance|credits?|funds|quota)\b",
            r"\bcredit limit reached\b",
            r"余额不足|无可用资源包|已欠费|已达到?[^。\n]{0,20}(?:上限|限额|速率限制)|请求(?:次数)?过[于多][^。\n]{0,6}",
            r"\b(?:quota|usage limit)\W+(?:was |is |has been )?(?:exceeded|reached|exhausted)\b",
            r"\b(?:hit|reached)\W+your\W+(?:[\w()'-]+\W+){0,4}?limit\b",
        ),
    ),
    _RefusalRule(
        "auth",
        pattern_of_any(
            r"\bunauthori[sz]ed\b",
            r"\bunauthenticated\b",
            r"身份验证失败|(?:令牌|密钥|API ?Key)[^。\n]{0,6}(?:无效|过期|不正确|错误)",
            r"\bnot (?:logged|signed) in(?:to)?\b",
            r"\bnot authenticated\b",
            r"(?:invalid|incorrect|missing|expired|revoked|wrong|unknown|malformed|disabled|no valid|bad)\W+"
            r"(?:\w+\W+){0,3}?(?:x.?)?api.?keys?\b",
            r"api.?key\b\W+(?:\S+\W+){0,4}?(?:invalid|incorrect|expired|revoked|not (?:valid|set|found|configured)|"
            r"missing|required|disabled)",
            r"\b(?:no|without|missing)\W+(?:\w+\W+){0,2}?(?:api.?key|credentials?|access.?token|auth\w*(?: method)?)\W+"
            r"(?:\w+\W+){0,4}?(?:found|set|configured|provided|available|given|stored|header)",
            r"(?:error|status|code|http|failed|response)\W*:?\W*401\b",
            r"\b401\W{1,4}(?:unauthori|invalid|incorrect|authentication|missing|\{|no )",
            r"(?:authenti\w*|\bauth).?error",
            r"\b401 status code\b",
            r"\bno (?:\w+ )?providers? (?:is |are |has been |have been )?(?:configured|set up)\b",
            r"(?:fail(?:ed|ure)? to|(?:not|un) ?able to) authenticate",
            r"authentication (?:has )?(?:failed|failure|required|expired)",
            r"(?:requires?|needs?) (?:re-?)?authentication",
            r"\boauth authentication is (?:currently )?not (?:allowed|supported)",
            r"(?:token|credentials?|login|grant|oauth session|your session|api.?key)s?\b[^.\n]{0,40}?"
            r"(?:(?:has|have|was|were|is|are)(?: been)? )?(?:expired|revoked|invalidated|no longer valid|"
            r"(?:could ?n[o']t|cannot|can't) be (?:refreshed|validated|verified))",
            r"(?:could not|couldn't|failed to|unable to) (?:refresh|renew|validate|verify) (?:\w+ ){0,3}"
            r"(?:token|credentials?|login|session)",
            r"\binvalid(?: |_)(?:access |refresh |auth\w* |bearer |oauth |x-)?(?:token|credentials?|grant|authentication|"
            r"bearer)",
            r"(?:log|sign) ?(?:out and )?(?:log |sign )?(?:back )?in again",
            r"(?:please|run|use|by running)\W+(?:\w+ ){0,4}?[`'\"]?/?(?:auth )?(?:login\b|log in\b|sign in\b|"
            r"re-?authenticate|setup-token)",
            r"(?:must|need to|have to) (?:be )?(?:log|sign|logged|signed) ?in\b",
            r"set an auth method",
            r"\bcredit balance (?:is )?too low\b",  # that only a person can mend
            r"\benforced authentication type is\b",
            r"(?:set|export|provide|configure|specify)(?: the| an?| your)?[ `'\"]+(?:\w+_)?(?:API_KEY|AUTH_TOKEN|"
            r"ACCESS_TOKEN|api key)\b",
            r"(?:organi[sz]ation|account) (?:has been |is |was )?(?:disabled|suspended|deactivated|banned)",
            r"does not have access to (?:claude|codex|copilot|gemini)",
        ),
    ),
    _RefusalRule(
        "rate_limit",
        pattern_of_any(
            r"\brate.?limit(?:s|ed|ing|_\w+|error|exceeded)?\b",
            r"\btoo.?many.?(?:\w+ )?(?:requests|tokens)\b",
            r"(?:error|status|code|http\S*|failed|response)\W*:?\W*429\b",
            r"(?:\A|^|[\s\[(])429\W{1,4}(?:too|resource|you|your|quota|rate|usage|free|insufficient|model|error|the|"
            r"this|\{|\[|no |limit|request|allocated|none|provider|throttl|exceeded|\Z|$)",
            r"\busage.?limits?\b",
            rf"{_OVER}\W+(?:your|the|our|its|a|an|all|my)?\W*(?:[\w()'-]+\W+){{0,4}}?(?:limits?|cap|quota|allowance)\b",
            rf"\b{SPAN}\W+(?:\w+\W+){{0,2}}?(?:limits?|cap|quota)\W+(?:has been |have been |was |is |are )?{_OVER}\b",
            rf"\blimits?\W+(?:has been |have been |was |is )?(?:{_OVER})\b.{{0,80}}\b(?:resets?|try again|upgrade|wait)",
            r"\blimits? (?:will )?resets?\b",
            r"limit[^.\n]{0,60}[·∙•|-]\s*resets?\b",
            r"quota\b[^.\n]{0,40}\b(?:will reset|resets|exceeded|exhausted|used up|depleted|reached)",
            r"(?:exceeded|exceeds|exhausted|insufficient|reached|hit|no|out of|used up|over|no remaining|not enough)\W+"
            r"(?:\w+\W+){0,4}?quotas?\b",
            r"(?:check|increase|review) (?:your |the )?quota",
            r"(?:exceeded|exhausted|used up|used all of|spent)\W+(?:all )?(?:of )?(?:your|the|its)\W+(?:[\w-]+\W+){0,4}?"
            r"(?:usage|capacity|credits?|allowance|requests|tokens|allocation|limits?)\b",
            r"resources? (?:has been |have been |is |are |was )?exhausted",
            r"resource.?exhausted",
            r"\b(?:out of|no|no more|not enough|insufficient|lack of)\W+(?:\w+\W+){0,2}?(?:credits?|extra usage|funds|"
            r"balance|tokens left|requests left|messages left)\b",
            r"(?:credits?|funds|balance|allowance|requests)\b\W+(?:\w+\W+){0,2}?(?:depleted|exhausted|used up|"
            r"run out|ran out|too low|expired|insufficient)",
            r"(?:requires?|need) more credits",
            r"\b100 ?% of\W+(?:your|the|its)\W+(?:[\w-]+\W+){0,4}?(?:limit|quota|usage|allowance|credits?)\b",
            r"\barrear(?:s|age)\b",
            r"\b429 status code\b",
            r"\b(?:free|included|premium|monthly|daily|weekly|trial|extra|token|copilot)\W+(?:\w+\W+){0,2}?"
            r"(?:usage|requests?|tier|allowance|allocation|messages)\W+(?:\w+\W+){0,2}?(?:exceeded|exhausted|used up|reached)",
            r"\bthrottl(?:ed|ing)(?:exception)?\b",
            r"(?:billing|spend\w*) (?:hard |soft )?(?:limit|cap)\b",
            r"payment.?required",
            r"\b(?:error|status|code)\W*402\b",
        ),
    ),
    _RefusalRule(
        "capacity",
        pattern_of_any(
            r"\boverloaded(?:_error)?\b",
            r"\b(?:no|insufficient|limited|out of|not enough|lack of) capacity\b",
            r"\bcapacity (?:is )?(?:exceeded|reached|unavailable|constraints?|limits?)\b",
            r"high (?:demand|load|traffic|volume)\b",
            r"(?:error|status|code|http\S*|response)\W*:?\W*(?:503|529)\b",
            r"(?:\A|^|[\s\[(])(?:503|529)\W{1,4}(?:service|server|the|overloaded|unavailable|model|upstream|\{|\[|no )",
            r"\b(?:503|529) status code\b",
            r"\bUNAVAILABLE\b",
            r"(?:service|model|server|api|engine|provider)\W+(?:\w+\W+){0,3}?(?:temporarily |currently )?unavailable",
            r"(?:server|service|model|engine)s? (?:is|are) (?:currently |temporarily |too )?(?:busy|overloaded|full)",
            r"temporarily (?:limiting|unable|unavailable)",
            r"try a different model",
        ),
    ),
)

_REFUSES = pattern_of_any(
    # what, in a line of a script, says that a service refuses: not a number or a name alone
    r"\b(?:http(?:/\d(?:\.\d)?)?|status(?:.?code)?|code|error)\W{0,3}429"
    r"(?:\W*$|\W*[:;,.(){}\[\]\"'|<-]|\s+(?:too|client|server|from|for|while|response|rate|resource|received|on|at|by)\b)",
    r"(?<![:.#\d/-])\b429[\s:,(-]{1,3}too many requests\b",
    r"\b429 (?:client|server) error\b|\b429 (?:error|status)\b",
    r"\b(?:rate|usage).?limit(?:s|ed)?\W+(?:has been |have been |was |were |is |are )?(?:exceeded|reached|hit)\b",
    r"\b(?:exceeded|reached|hit|over)\W+(?:your |the |our |its |a |an |api |secondary ){0,3}(?:[\w-]+ ){0,2}?(?:rate|usage).?limits?\b",
    r"\brate.?limit.?(?:error|exceeded)\b",
    r"\b(?:been|being|are|is|you) (?:currently )?rate.?limited\b",
    r"\btoo.?many.?requests\b",
    r"^\W*(?:error\W+)?(?:rate.?limit(?:ed)?|usage.?limit|(?:please )?try again later)\W*$",
)
_OF_SCRIPTS = pattern_of_any(
    # and what a script says of something else: of its source, its tests, its documents, its own course
    r"^\S*?[\w./-]+\.\w{1,5}[:(]\d+",
    r"^\s*(?:[>|*#]|\++ |- |[-+]\S|@@|diff |index |\d+[.)]\s)",
    r"^\s*(?:\[?(?:trace|debug|info|notice|warn(?:ing)?|note)\]?\b|\S*\d{4}-\d\d-\d\d[T ]\S*\s+\[?(?:trace|debug|info|warn))",
    r"^(?:(?:warning|hint|see|documentation|docs?)\b|usage:)",
    r"\b(?:grep|rg|sed|awk|ls|cat|find|diff|cp|mv|rm): ",
    r"\b(?:docs?|readme|changelog|documented|documentation)\b",
    r"\b(?:unit|integration)?.?tests?\b[^:]{0,40}\b(?:fail\w*|pass\w*|error\w*|of|for|case|suite|\d+)\b|\btest_\w+|\w+_test\b"
    r"|\b(?:assert\w*|expected|fixture|mock\w*|stub\w*|spec)\b",
    r"^\s*(?:FAIL|PASS|ok|not ok|✓|✗|---)\b",
    r"(?:^|[\s;{(])(?:raise|throw|return|def|class|function|const|let|var|import|assert|print|elif|if|while|except|"
    r"catch|await|new)\b[\s(].*[({=;:\])]|\b(?:self|console|log(?:ger)?)\.\w",
    r"[!=]==?|=>|\(\)|::\w+\(|;\s*$|\{\s*$",
    r"\b(?:handles?|handled|handler|handling|retries|retried|fixed|added|renamed|cannot find|no such file|not found|undefined)\b",
)

_START = pattern_of_any(
    # how a line begins that says an error
    r"when using \w+ api, you must\b",
    r"the enforced authentication type\b",
    r"[\w.]*(?:error|exception|failure)\b\s*[:(\[—-]",
    r"(?:api |http |server |client |request |provider |auth\w* )?error\b(?![-.\w])",
    r"(?:fatal|failed|failure|panic|aborted)\b",
    r"\[api error",
    r"\S+\s+(?:…\s+\S+\s+)?(?:status|code|error)\W{1,3}[45]\d\d\W*$",
    r"(?:unexpected|unhandled|uncaught|internal|api) (?:error|exception|request failed)\b",
    r"(?:max|maximum) (?:number of )?(?:retry|retries)\b",
    r"timestamp=\S+ level=(?:error|fatal)\b",
    r"(?:status:? |code:? |got status:? |http )?[45]\d\d\b\W{1,4}(?:\{|\[|too|unauth|service|payment|forbidden|you|rate|quota|"
    r"resource|insufficient|invalid|incorrect|no |free|limit|provider|overloaded|error|usage|authentication|status|api key)",
    r"(?:last |response )?status(?: code)?\W*[45]\d\d\W*(?:$|[:,(\[{]|too|service|unauth|you|rate)",
    r"(?:post|get) \W?https?://\S+\W+[45]\d\d\b",
    r"[\[{]\s*\\?[\"'{]",
    r"\W{0,2}(?:code|status|statuscode|type|message|raw|reason)\W{1,3}:",
    r"you(?:['’]ve| have|['’]re| are)\b",
    r"your\b",
    r"sorry\b",
    r"please (?:run|log|sign|set|try|wait|check|upgrade)\b",
    r"(?:claude|codex|gemini|copilot|cursor|qwen|openai|anthropic|google|github|openrouter)\b[^.]{0,60}"
    r"(?:limit|quota|error|refus|unavailable|overload|expired|credential|login|log in)",
    rf"{SPAN}\b[^.]{{0,40}}\b(?:limit|quota|usage|cap)\b",
    r"(?:rate|usage|request|token|too many|quota|resource|insufficient|overloaded|service|server|model|selected model|"
    r"capacity)\b[^.]{0,60}(?:limit|requests|tokens|exceeded|exhausted|quota|credits|balance|funds|overloaded|unavailable|"
    r"capacity|busy)",
    r"(?:invalid|incorrect|missing|expired|no|not|unauthori[sz]ed|unauthenticated|unable to authenticate|"
    r"authentication|access token|token|oauth|login|credential\w*)\b[^.]{0,80}"
    r"(?:key|token|auth\w*|credential\w*|logged in|signed in|login|unauthori[sz]ed|expired|failed|required)",
    r"unauthori[sz]ed\b",
    r"overloaded(?:_error)?\W*(?:$|[:(])",
    r"the (?:api|provider|model|server|service|engine|usage|request|daily|monthly|weekly)\b",
    r"this request would exceed\b",
    r"(?:stream|connection) (?:disconnected|closed|error)\b",
    r"exceeded (?:retry limit|your|the)\b",
    r"ran into (?:this|an) error\b",
    r"(?:execution|model call|request|call|run|agent|completion|prompt)\W+(?:\w+\W+)?failed\b",
    r"(?:all|max|maximum) (?:retries|attempts)\b",
    r"(?:individual|model) quota (?:was |is )?(?:reached|exceeded|exhausted)\b",
    r"inference is (?:temporarily|currently)\b",
    r"retry(?:ing)?\b.{0,40}\b(?:429|rate|quota|limit|overloaded)",
    r"(?:botocore|boto|grpc|openai|anthropic|google|litellm|httpx|aiohttp|requests)[\w.]*\b",
    r"(?:throttl|billing|payment|free|premium|monthly|weekly|daily|session|resource)\w*\b",
)
_TALK = pattern_of_any(
    # and how one that only quotes or tells of one looks
    r"^\s*(?:[>#|*+-]|```|\d+[.)]\s|@@|diff |index )",
    r"^\S*?[\w./-]+\.\w{1,5}:\d+",
    r"^\s*(?:\[?(?:trace|debug|info|warn(?:ing)?)\]?\b|\S*\d{4}-\d\d-\d\d[T ]\S*\s+\[?(?:trace|debug|info|warn))",
    r"\b(?:mcp|rmcp|otel|opentelemetry|telemetry|tool_?(?:result|output|call)|exec_command|stdout|grep)\b",
    r"\b(?:npm|pip|docker|curl|wget|gh|git|kubectl|helm|terraform|cargo|apt(?:-get)?|yarn|pnpm|psql|redis|aws|gcloud):",
    r"\bnpm err",
    r"(?:^|[\s;{(])(?:raise|throw|return|def|class|function|const|let|var|import|assert|print|elif|if|while|except|"
    r"catch|await|new|self\.|console\.|log(?:ger)?\.)[\s(\w].*[({=;:\])]",
    r"[=!]=|=>|\(\)|::\w+\(|;\s*$|\{\s*$",
    r"`",
    r"\b(?:i|we|it|they|he|she)\b(?:'(?:ve|ll|m|s))? (?:will|have|had|can|could|should|would|added|changed|fixed|moved|renamed|"
    r"handle|handled|handles|now|wrote|wait|waits|retried|retries|documented|removed|made|need|am|was|is|see|saw|think|found|"
    r"implemented|tested|ran|noticed)\b",
    r"\b(?:is|are|was|were) (?:now|then|what|only|never|always|covered|handled|shown|documented|fixed|tested|raised|returned|"
    r"expected|quoted|described|the (?:old|new|text|message|name|string))\b",
    r"\b(?:handler|handling|banner|middleware|fixture|mock|stub|unit test|test case|tests? (?:for|of|pass\w*)|regex|"
    r"docstring|readme|changelog|screenshot|translation|endpoint (?:returns|answers)|retries with|with (?:exponential )?backoff|"
    r"implement\w*|refactor\w*|renamed|documented|assert\w*|tests?\b[^.]{0,30}\bpass\w*|pass(?:ed|es)?\b)",
)
_OTHERS = pattern_of_any(
    r"\b(?:mcp|rmcp|otel|opentelemetry|telemetry|exec_command|grep)\b",
    r"\btool.?(?:result|output|use)\b",
    r"\b(?:aggregated_output|diff|patch)\b",
    r"^(?:https?/\d|\d+\.\d+\.\d+\.\d+ )",
    r"^fatal: .*(?:https?://|\.git\b)",
    r"\bpip\._vendor\b|\bclient error: \w+ for url\W*$",
)
_CODE = re.compile(r"[=!]==?|\b(?:assert|raise|throw|if|return)\b", re.IGNORECASE)
_PROSE = pattern_of_any(
    r"\b(?:is|are|was|were) (?!exceeded|exhausted|reached|disabled|overloaded|depleted|limited|suspended|deactivated|expired|"
    r"revoked|required|unauthori[sz]ed|blocked|denied|throttled|rate.limited|unauthenticated|used up|a server)"
    r"(?:\w+ed|an?|the|per|in|on|what|how|now|grpc|caught|shown|sent)\b",
    r"\b(?:requests|limits?|quotas?|keys|users|trucks|variants) (?:for (?:the same|bytes)|are)\b",
    r" — | → |, so |\bon purpose\b",
    r"\b(?:fixed|quoted|handled)\b",
)
DECORATION = " \t\r│┃|⎿✖✗✘×✕❌⚠️🚫⛔●•■▲!─━═"
_JOINED = re.compile(r"(?<=[A-Za-z])_(?=[A-Za-z])|(?<=[a-z])(?=[A-Z][a-z])")
"""Where words are joined to a name, `usage_limit_reached` and `RateLimitError`."""
_COMMAND = re.compile(r"`([\w-]+ (?:[\w-]+ )?(?:login|logout|auth|configure|setup-token))`")
"""What a tool says is to be typed, in quotes that else mark what an agent quotes."""
_SERVICE_LINE = re.compile(
    r"\b(?:status_?code|last status|api_?error_?status|retry.?after)\b\W{0,5}\d{3}", re.IGNORECASE
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def recognise(error: str) -> RefusalKind | None:
    """Say what a tool's own error message means; None: it is a failure like any other."""
    text = _OTHER.sub(" ", in_english(_shorten(error, _LONGEST_ERROR)))
    words = _OTHER.sub(" ", _JOINED.sub(" ", text))
    text = text if words == text else f"{text}\n{words}"
    return next((rule.kind for rule in _RULES if rule.pattern.search(text)), None)


@lru_cache(maxsize=4)
def recognise_in_output(output: str) -> RefusalMatch | None:
    """Say what the lines of stderr, or of an output in text form, mean; the last that means something counts."""
    for line in reversed(list(error_lines(output))[-_MOST_LINES:]):
        kind = recognise(line)
        if kind is not None:
            return RefusalMatch(kind, line)
    return None


def service_refusal(output: str) -> str | None:
    """Return the last line of a script's stderr by which a service refuses for its rate; None: there is none.

    A script calls whom it likes, so `curl: … error: 429` counts; numbers of lines, names of files and tests, and
    what is said of documents do not. Source: docs/reference/score-format.md §16.3.
    """
    lines = _ANSI.sub("", output).splitlines()
    return next((line for line in reversed(lines) if _is_refusal(line)), None)


def _is_refusal(raw: str) -> bool:
    line = _shorten(raw.strip(DECORATION), _LONGEST_LINE)
    if _OF_SCRIPTS.search(line):
        return False
    return _REFUSES.search(_OTHER.sub(" ", line)) is not None


def error_lines(output: str) -> Iterator[str]:
    """Yield the lines that begin as errors do, without code, quotations and what tells of other things."""
    fenced = False
    for raw in _ANSI.sub("", output).splitlines():
        line = _shorten(raw.strip(DECORATION), _LONGEST_LINE)
        if line.startswith("```"):
            fenced = not fenced
        elif line and not fenced and _is_error(raw, in_english(_COMMAND.sub(r"\1", line))):
            yield line


def _is_error(raw: str, line: str) -> bool:
    told = line.partition("{")[0] or line
    if _OTHERS.search(told) or _PROSE.search(told):
        return False
    if _SERVICE_LINE.search(line) and not _CODE.search(told):
        return not _OTHERS.search(line)
    if _START.match(line) is None:
        return False
    if line[0] in "{[" or line.startswith("timestamp=") or _SERVICES.match(line):
        return not _OTHERS.search(line)
    return not _TALK.search(line) and not raw.lstrip(" \t").startswith((">", "+", "|", "- "))


_SERVICES = re.compile(
    r"(?:litellm|openai|anthropic|google\.\w+|botocore)\.[\w.]+\s*:|\[?api error\b|ran into (?:this|an) error\b",
    re.IGNORECASE,
)


def _shorten(text: str, most: int) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"
