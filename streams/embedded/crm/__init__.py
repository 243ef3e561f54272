"""The sandbox CRM: a small CRM of our own, for demos and tests, with the weaknesses that real ones have.

Contacts with numbers as people type them, a call journal, a change feed, signed webhooks and a page per contact, over
one SQLite file. A POST is never deduplicated, times have whole seconds, and faults can be switched on: what writes to
it must cope as with a CRM that nobody here controls. It is no product: one process, loopback only, pages open to
whoever can reach the loopback.
"""
