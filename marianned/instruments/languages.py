"""Refusals and reset times in other languages, put into the English words that are looked for.

The tools themselves speak English; what stands between them and a model, a company's gateway say, may not.
Chinese services have their own clocks, too: recognising.py and resets.py read those.
"""

import re

_IS = r"(?:\b(?:ist|wurde|est|a [ée]t[ée]|ha sido|se ha|foi|es|está) )?"
_WORDS: dict[str, str] = {
    # how long, at what hour: before the words that would hide them
    r"\b(\d{1,2})[.:](\d\d) ?Uhr\b": r"\1:\2",
    r"\b(\d{1,2}) ?Uhr\b": r"\1:00",
    r"\b(?:à|vers|às?|a las) (\d{1,2}) ?h(?:eures?|oras?)? ?(\d\d)\b": r"at \1:\2",
    r"\b(?:à|vers|às?|a las) (\d{1,2}) ?h(?:eures?|oras?)?(?! ?\d)\b": r"at \1:00",
    r"\b(?:um|ab|à partir de|à|vers|às|a partir de las|a las) (?=\d{1,2}(?:[:. ]|$))": "at ",
    r"\b(?:in|nach|dans|après|en|em|dentro de|depois de|después de) (?=\d)": "in ",
    r"(?<=\d )(?:Sekunden?|secondes?|segundos?)\b": "seconds",
    r"(?<=\d )(?:Minuten?|minutos?)\b": "minutes",
    r"(?<=\d )(?:Stunden?|heures?|horas?)\b": "hours",
    r"(?<=\d )(?:Tag(?:en?)?|jours?|d[ií]as?)\b": "days",
    # what is to be done
    r"\b(?:bitte )?versuche?(?:n sie)?(?: es)?\b": "try again",
    r"\b(?:erneut|wieder) (?:versuchen|verfügbar|möglich)\b": "available",
    r"\bwieder (?=at \d|in \d)|\berneut (?=at \d|in \d)": "try again ",
    r"\b(?:veuillez )?r[ée]essaye[rz]?\b|\bessayez (?:à nouveau|de nouveau)\b": "try again",
    r"\b(?:vuelv\w+|volver) a intentar\w*\b|\bint[eé]nt\w+ (?:de nuevo|nuevamente|otra vez)\b|\breint[eé]nt\w+\b": "try again",
    r"\btent[ae]r?(?: novamente| de novo)\b": "try again",
    r"\b(?:wird )?zurückgesetzt\b|\bse r[ée]initialise\w*\b|\br[ée]initialis[ée]+e?s?\b|\bse (?:restablece\w*|reinicia\w*|renueva\w*)\b"
    r"|\b(?:é |será )?(?:redefinid[oa]|renovad[oa])\b": "resets",
    r"\b(?:du hast|sie haben|vous avez|tu as|has|ha|você(?: tem)?|usted ha)(?= )(?=.*\b(?:erreicht|überschritten|atteint|dépassé|épuisé|alcanzado|superado|agotado|atingiu))": "you have",
    r"^(?:fehler|erreur|erro)\b": "error",
    # what is refused
    r"\b(?:nutzungs?|verwendungs)limit\b|\blimite d['’]utilisation\b|\bl[ií]mite de uso\b": "usage limit",
    r"\b(?:anfrage|raten)(?:limit|begrenzung|grenze)\b|\blimite de (?:d[ée]bit|requ[êe]tes)\b"
    r"|\bl[ií]mite de (?:velocidad|solicitudes|peticiones|taxa|requisi[çc][õo]es)\b": "rate limit",
    r"\b(?:tages|wochen|monats)limit\b|\blimite (?:quotidienne|hebdomadaire|mensuelle)\b|\bl[ií]mite (?:diario|semanal|mensual|di[áa]rio|mensal)\b": "daily limit",
    r"\bzu viele anfragen\b|\btrop de requ[êe]tes\b|\bdemasiadas (?:solicitudes|peticiones)\b|\bmuitas (?:solicita[çc][õo]es|requisi[çc][õo]es)\b": "too many requests",
    r"\bkontingent\b|\bcuota\b|\bcota\b": "quota",
    r"\bguthaben\b|\bcr[ée]ditos?\b|\bcr[ée]dits?\b": "credits",
    _IS
    + r"\b(?:erreicht|überschritten|atteinte?s?|d[ée]pass[ée]e?s?|(?:alcanzad|superad|excedid|atingid)[oa]s?)(?!\w)": "exceeded",
    _IS + r"\b(?:erschöpft|aufgebraucht|[ée]puis[ée]e?s?|(?:agotad|esgotad)[oa]s?)(?!\w)": "exhausted",
    r"\b(?:ungültiger|abgelaufener|fehlender) api-?(?:schlüssel|key)\b|\bcl[ée] (?:d['’])?api (?:\w+ )?(?:invalide|expir[ée]e|manquante)(?!\w)"
    r"|\b(?:clave|chave) (?:de )?api (?:\w+ )?(?:no v[áa]lida|inv[áa]lida|caducada|expirada)\b": "invalid API key",
    r"\bnicht (?:angemeldet|eingeloggt|authentifiziert)\b|\bnon (?:connect[ée]|authentifi[ée])e?(?!\w)|\bno (?:has iniciado sesión|autenticado)\b|\bnão autenticado\b": "not logged in",
}
_TABLE = tuple((re.compile(words, re.IGNORECASE), english) for words, english in _WORDS.items())
_FOREIGN = re.compile(
    r"\bUhr\b|^fehler|^erreur|versuche|erneut|wieder|zurückgesetzt|limit erreicht|anfrage|erreicht|überschritten|erschöpft|kontingent|guthaben|angemeldet|schlüssel|"
    r"essaye|initialis|limite|l[íi]mite|requ[êe]tes|atteint|dépass|épuis|cl[ée] |connect[ée]|authentifi|"
    r"int[eé]nt|intentar|solicitudes|peticiones|cuota|cr[ée]dito|clave|sesión|tente|tentar|requisi|cota|chave",
    re.IGNORECASE,
)
"""Without one of these nothing is put into English."""


def in_english(text: str) -> str:
    """Return a text with the words of German, French, Spanish and Portuguese refusals put into English ones."""
    if _FOREIGN.search(text) is None:
        return text
    for words, english in _TABLE:
        text = words.sub(english, text)
    return text
