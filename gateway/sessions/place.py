"""Where a desktop is taken for: its time zone and language, as asked for, or those of its exit. Pure."""

from __future__ import annotations

from gateway.exits import ExitCheck
from gateway.sessions.record import FOLLOW, Place

__all__ = ["place_of"]

_LANGUAGES = {
    "ar": "AE BH DZ EG IQ JO KW LB LY MA OM QA SA TN YE",
    "bg": "BG", "bn": "BD", "bs": "BA", "cs": "CZ", "da": "DK", "de": "AT CH DE LI LU",
    "el": "CY GR", "en": "AU BB BS BZ GB GH GY IE JM KE MT NG NZ PH SG TT UG US ZA ZM ZW",
    "es": "AR BO CL CO CR CU DO EC ES GT HN MX NI PA PE PR PY SV UY VE",
    "et": "EE", "fa": "IR", "fi": "FI", "fr": "BE BF BJ CD CI CM FR GA GN MC MG ML NE SN TG", "he": "IL", "hi": "IN",
    "hr": "HR", "hu": "HU", "hy": "AM", "id": "ID", "is": "IS", "it": "IT SM VA", "ja": "JP", "ka": "GE", "kk": "KZ",
    "km": "KH", "ko": "KR", "lt": "LT", "lv": "LV", "mk": "MK", "mn": "MN", "ms": "BN MY", "my": "MM", "nb": "NO",
    "ne": "NP", "nl": "NL SR", "pl": "PL", "pt": "AO BR MZ PT", "ro": "MD RO", "ru": "BY KG RU", "si": "LK",
    "sk": "SK", "sl": "SI", "sq": "AL XK", "sr": "ME RS", "sv": "SE", "th": "TH", "tr": "TR", "uk": "UA", "ur": "PK",
    "uz": "UZ", "vi": "VN", "zh": "CN HK MO TW",
}  # fmt: skip
"""A language to the countries whose sites it serves best; where there are several, one of them."""
_LOCALES = {country: f"{language}-{country}" for language, countries in _LANGUAGES.items()
            for country in countries.split()}  # fmt: skip


def place_of(wanted: Place, check: ExitCheck | None, before: Place) -> Place:
    """Where it is to be taken for now.

    Args:
        wanted: what was asked for; FOLLOW stands for what the exit shows.
        check: the last look at the exit.
        before: what it was taken for. That stays until the exit is known, and while it cannot be.
    """
    timezone, locale = wanted.timezone, wanted.locale
    if timezone == FOLLOW:
        timezone = (check.timezone if check is not None else "") or before.timezone
    if locale == FOLLOW:
        locale = _LOCALES.get(check.country if check is not None else "", before.locale)
    return Place(timezone=timezone, locale=locale)
