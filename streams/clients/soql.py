"""How outside text stands in Salesforce's query languages: as a string of SOQL, as a phrase of SOSL. Pure.

Salesforce, SOQL and SOSL Reference: Quoted String Escape Sequences, FIND {SearchQuery} (reserved characters).
"""

_ESCAPES = str.maketrans({c: f"\\{c}" for c in "\\'\""} | {"\n": "\\n", "\r": "\\r", "\t": "\\t"})
_RESERVED = str.maketrans({c: f"\\{c}" for c in "?&|!{}[]()^~*:\\\"'+-"})


def literal(text: str) -> str:
    """A string of SOQL; for LIKE its % and _ are what stands for others."""
    return f"'{text.translate(_ESCAPES)}'"


def phrase(text: str) -> str:
    """A phrase of SOSL, which stands for itself alone."""
    return f'"{text.translate(_RESERVED)}"'
