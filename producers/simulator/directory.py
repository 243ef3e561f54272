"""The customers of the simulated call centre, so that a CRM can hold the very contacts that call.

Every number lies in a range that its regulator keeps for fiction (ARCEP decision 2018-0881 for France, Ofcom's
"numbers for drama use" for Great Britain, 555-01xx for North America): nobody's telephone is in a demo.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import orjson

LIMIT = 15_000
"""The fictional ranges hold two numbers for that many customers, and leave room for strangers."""

CUSTOMER_RANGES = ("26191", "35301", "46571")
STRANGER_RANGE = "53649"
GIVEN = ("Hélène", "François", "Zoë", "Jürgen", "Siobhán", "Łukasz", "Ana", "Noël", "Ольга", "Yūki", "Marie", "Omar")
FAMILY = (
    "Lefèvre",
    "Müller",
    "O'Brien",
    "Nowak",
    "Dupont",
    "García",
    "Смирнова",
    "Çelik",
    "Martin",
    "Tanaka",
    "Ångström",
)
COMPANIES = (
    "",
    "",
    "Boulangerie du Port",
    "Ateliers Nord & Fils",
    "Café Œuvre",
    "Transports Ibañez",
    "Clinique St-Roch",
)
OWNERS = ("anna", "bruno", "chloe", "david")


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One contact: `numbers` as people typed them, `e164` the same numbers as the telephone network knows them."""

    id: str
    name: str
    numbers: tuple[str, ...]
    e164: tuple[str, ...]
    company: str
    vip: bool
    owner: str


def typed(rng: random.Random, e164: str) -> str:
    """The number as one of many people would type it into a CRM."""
    if e164.startswith("+44"):
        return rng.choice(
            (e164, f"+44 20 {e164[5:9]} {e164[9:]}", f"+44 (0)20 {e164[5:9]} {e164[9:]}", f"00{e164[1:]}")
        )
    if e164.startswith("+1"):
        return rng.choice((e164, f"+1 ({e164[2:5]}) {e164[5:8]}-{e164[8:]}", f"+1-{e164[2:5]}-{e164[5:8]}-{e164[8:]}"))
    pairs = [e164[4:6], e164[6:8], e164[8:10], e164[10:12]]
    area = e164[3]
    return rng.choice(
        (
            e164,
            f"0{area} " + " ".join(pairs),
            f"0{area}." + ".".join(pairs),
            f"0{area}" + "".join(pairs),
            f"+33 {area} " + " ".join(pairs),
            f"+33 (0){area} " + " ".join(pairs),
            f"0033{area}" + "".join(pairs),
            f"(+33) {area}-" + "-".join(pairs),
        )
    )


def number(index: int) -> str:
    """The E.164 number of place `index`: one in 16 is abroad while those ranges last; no two places share one."""
    if index % 16 == 7 and index // 16 < 1000:  # noqa: PLR2004 - Ofcom keeps 020 7946 0000 to 0999
        return f"+442079460{index // 16:03d}"
    if index % 16 == 11 and index // 16 < 100:  # noqa: PLR2004 - 555-0100 to 555-0199
        return f"+1212555{100 + index // 16:04d}"
    block, place = divmod(index, 10_000)
    return f"+33{CUSTOMER_RANGES[block]}{place:04d}"


def stranger(rng: random.Random) -> str:
    """A number that no directory holds."""
    return f"+33{STRANGER_RANGE}{rng.randrange(10_000):04d}"


def directory(seed: int, n: int) -> tuple[Customer, ...]:
    """The same `n` customers for the same seed; raises ValueError beyond `LIMIT`.

    About one customer in eight has a second number, and one in ten shares a number with the one before (a household,
    a switchboard): a caller from there is ambiguous.
    """
    if not 0 <= n <= LIMIT:
        raise ValueError(f"the fictional number ranges hold {LIMIT} customers; ask for at most that many, not {n}")
    rng = random.Random(f"directory {seed}")  # noqa: S311 - play, not secrecy
    customers: list[Customer] = []
    for i in range(n):
        numbers = [number(2 * i)]
        if rng.random() < 0.125:  # noqa: PLR2004
            numbers.append(number(2 * i + 1))
        if customers and rng.random() < 0.1:  # noqa: PLR2004
            numbers.append(customers[-1].e164[0])
        customers.append(
            Customer(
                id=f"C{i + 1:05d}",
                name=f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}",
                numbers=tuple(typed(rng, each) for each in numbers),
                e164=tuple(numbers),
                company=rng.choice(COMPANIES),
                vip=rng.random() < 0.08,  # noqa: PLR2004
                owner=rng.choice(OWNERS),
            )
        )
    return tuple(customers)


def holders(customers: Sequence[Customer]) -> Mapping[str, tuple[Customer, ...]]:
    """Who answers to a number: E.164 to its one customer, or to the several that share it."""
    found: dict[str, tuple[Customer, ...]] = {}
    for customer in customers:
        for each in customer.e164:
            found[each] = (*found.get(each, ()), customer)
    return found


def to_jsonl(customers: Iterable[Customer]) -> bytes:
    """One JSON object a line: id, name, numbers, e164, company, vip, owner."""
    return b"".join(orjson.dumps(asdict(customer), option=orjson.OPT_APPEND_NEWLINE) for customer in customers)
