from hypothesis import given
from hypothesis import strategies as st

from producers.simulator.message import split


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reading_or_make_a_line_end_in_a_value(data: bytes) -> None:
    """Whatever a client sends, values hold no CR or LF, so nothing it says can forge a field of an answer."""
    messages, _ = split(data + b"\r\n\r\n")
    for message in messages:
        assert not any("\r" in text or "\n" in text for pair in message.items() for text in pair)
        assert message.error("no").count(b"\r\n") == (3 if not message.get("actionid") else 4)


@given(st.lists(st.integers(1, 7), max_size=60))
def test_actions_are_whole_however_they_arrive(cuts: list[int]) -> None:
    """Cut into any pieces, the stream gives the same actions."""
    stream = b"Action: Ping\r\nActionID: 1\r\n\r\nAction: QueueStatus\r\nActionID: a:b\r\nQueue: \r\n\r\n"
    seen, rest, at = [], b"", 0
    for cut in [*cuts, len(stream)]:
        messages, rest = split(rest + stream[at : at + cut])
        seen += messages
        at += cut
    assert [dict(message) for message in seen] == [
        {"action": "Ping", "actionid": "1"},
        {"action": "QueueStatus", "actionid": "a:b", "queue": ""},
    ]
    assert rest == b""
