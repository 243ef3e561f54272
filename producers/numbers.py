"""The number plan of a PBX: which party is a customer, and how a number reads in E.164."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

import phonenumbers

UNKNOWN = frozenset({"", "<unknown>", "unknown", "s"})
"""What Asterisk writes where it has no number; `s` is the dialplan's start, not a number."""
HIDDEN = frozenset(
    {"anonymous", "restricted", "private", "withheld", "blocked", "unavailable", "asserted identity hidden"}
)
"""What carriers put in the place of a number that its owner withholds."""
_PUNCTUATION = re.compile(r"[\s().\-/\u00a0]+")
_LONGEST = 40
_DIALLABLE = re.compile(r"\+?[0-9]{3,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPlan:
    """As `[pbx.<name>.numbers]` gives it. All answers are cached: a call centre's numbers repeat."""

    country: str = "BE"
    """ISO country that national numbers belong to."""
    extensions: str = r"[1-9]\d{1,4}"
    """Regular expression of the house's own extensions, matched whole."""
    dids: tuple[str, ...] = ()
    """Own numbers that are dialled from outside, in any notation; empty: every number dialled from a trunk."""
    trunk_contexts: tuple[str, ...] = ("from-trunk",)
    """Dialplan contexts that calls from outside arrive in."""
    closed_contexts: tuple[str, ...] = ()
    """Dialplan contexts that callers come to out of hours."""
    outside_prefix: str = ""
    """What is dialled before an outside number."""
    _own: frozenset[str] = field(init=False, repr=False, default=frozenset())
    _extension: re.Pattern[str] = field(init=False, repr=False, default=re.compile(""))

    def __post_init__(self) -> None:
        object.__setattr__(self, "_extension", re.compile(self.extensions))
        own = {e164(did, self.country) for did in self.dids} | set(self.dids)
        object.__setattr__(self, "_own", frozenset(own - {""}))

    def is_extension(self, raw: str) -> bool:
        return len(raw) <= _LONGEST and self._extension.fullmatch(raw) is not None

    def is_did(self, raw: str) -> bool:
        """One of the house's own outside numbers; always False when none are configured."""
        return bool(self._own) and (raw in self._own or e164(raw, self.country) in self._own)

    def is_hidden(self, raw: str) -> bool:
        return raw.lower() in HIDDEN

    def is_trunk(self, context: str) -> bool:
        return context in self.trunk_contexts

    def e164(self, raw: str) -> str:
        """The number in E.164 with its plus, or "" when it is an extension, a service code, a word, or no number.

        A number that reads as one only without the outside prefix was dialled from inside.
        """
        return "" if self.is_extension(raw) else self._read(raw, raw.removeprefix(self.outside_prefix))

    def dialled(self, raw: str) -> str:
        """As `e164`, of what somebody inside dialled: the reading without the outside prefix comes first."""
        return "" if self.is_extension(raw) else self._read(raw.removeprefix(self.outside_prefix), raw)

    def outside(self, dial_string: str) -> str:
        """The number in E.164 that `PJSIP/0470123416@trunk` calls; "" when that is somebody of the house, or several."""
        raw = dial_string.partition("@")[0].rpartition("/")[2]
        return "" if "&" in dial_string else self.customer(self.dialled(raw))

    def _read(self, first: str, second: str) -> str:
        found = e164(first, self.country)
        if first == second or is_assigned(found):
            return found
        other = e164(second, self.country)
        return other if is_assigned(other) else found or other

    def customer(self, *candidates: str) -> str:
        """The first of these numbers (raw) that belongs to somebody outside, in E.164; "" when none does."""
        for raw in candidates:
            number = self.e164(raw)
            if number and number not in self._own and raw not in self._own:
                return number
        return ""


def e164(raw: str, country: str) -> str:
    """Any notation to E.164, or "" when it is no number. `country` is where national notation belongs to.

    Possible lengths count, not assigned ranges: those change every month.
    """
    return _e164(raw, country) if len(raw) <= _LONGEST else ""


@lru_cache(maxsize=65536)
def is_assigned(number: str) -> bool:
    """The number lies in a range that is in use, as far as libphonenumber's data knows."""
    try:
        return bool(number) and phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


@lru_cache(maxsize=65536)
def _e164(raw: str, country: str) -> str:
    digits = _PUNCTUATION.sub("", raw)
    if not _DIALLABLE.fullmatch(digits):
        return ""
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
