"""Refusals in German, French, Spanish and Portuguese: what they mean, and until when."""

from datetime import UTC, datetime

from kit.tables import each

from marianned.instruments.recognising import error_lines, recognise
from marianned.instruments.resets import resets_in

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@each(
    ("text", "kind", "seconds"),
    [
        ("Nutzungslimit erreicht. Versuche es um 15:00 Uhr erneut.", "rate_limit", 10_800),
        ("Nutzungslimit erreicht, erneut um 15:00 Uhr", "rate_limit", 10_800),
        ("Nutzungslimit erreicht. Erneut um 15.30 Uhr.", "rate_limit", 12_600),
        ("Nutzungslimit erreicht. Wieder verfügbar in 20 Minuten.", "rate_limit", 1_200),
        ("Zu viele Anfragen. Bitte versuchen Sie es in 5 Minuten erneut.", "rate_limit", 300),
        ("Fehler: Kontingent überschritten, versuchen Sie es nach 2 Stunden", "rate_limit", 7_200),
        ("Limite d'utilisation atteinte. Réessayez à 15:00.", "rate_limit", 10_800),
        ("Limite d\u2019utilisation atteinte. Réessayez à 15 h 30.", "rate_limit", 12_600),
        ("Error 429: trop de requêtes, veuillez réessayer dans 30 secondes", "rate_limit", 30),
        ("Quota dépassé. Il sera réinitialisé dans 3 jours.", "rate_limit", 259_200),
        ("Límite de uso alcanzado. Vuelve a intentarlo a las 15:00", "rate_limit", 10_800),
        ("Ha superado su cuota. Inténtelo de nuevo a las 15:30", "rate_limit", 12_600),
        ("Demasiadas solicitudes, reintente en 30 segundos", "rate_limit", 30),
        ("Limite de requisições atingido. Tente novamente em 5 minutos", "rate_limit", 300),
        ("Créditos esgotados", "rate_limit", None),
        ("Ungültiger API-Schlüssel", "auth", None),
        ("Sie sind nicht angemeldet.", "auth", None),
        ("Clé API invalide", "auth", None),
        ("resets at 15h00", None, 10_800),
        ("usage limit reached, resets in 15h30m", "rate_limit", 55_800),
        ("usage limit reached, try again at 3:00 p. m.", "rate_limit", 10_800),
    ],
)
def test_a_refusal_in_another_language_is_what_it_is(text, kind, seconds):
    assert (recognise(text), resets_in(text, NOW)) == (kind, seconds)


@each(
    "text",
    [
        "Die Anfragegrenze (429) wird jetzt abgewartet, und 401 führt zur Anmeldung.",
        "Ich habe das Limit in limits.py erhöht, die Tests sind erreicht und grün.",
        "La limite est maintenant testée ; tout est vert.",
        "He añadido una prueba del límite de uso alcanzado en limites.py.",
        "O limite de uso foi documentado.",
        "Sekunden 5, Minuten 3",
    ],
)
def test_what_an_agent_says_in_another_language_is_no_refusal(text):
    assert [recognise(line) for line in error_lines(text)] in ([], [None])
