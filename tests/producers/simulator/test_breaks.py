"""Agents' breaks: told to every queue, never in a call, and over when the last call is."""

import orjson

from tests.producers.simulator.centre import OPENING, build, head, play_all


def test_a_break_is_told_to_every_queue_of_the_agent_and_ends() -> None:
    """One line of truth for its begin and one for its end, and the queues' own events at the same moments."""
    played = build(breaks=20.0)
    frames = [head(frame.wire) for frame in play_all(played)]
    lines = [orjson.loads(line) for line in played.breaks]
    assert {line["state"] for line in lines} == {"paused", "logged_out", "available"}
    for line in lines:
        stamp = f"{line['at'] // 10**6}.{line['at'] % 10**6:06d}"
        told = [
            frame
            for frame in frames
            if frame.get("Interface") == f"PJSIP/{line['agent']}"
            and frame["Timestamp"] == stamp
            and frame["Event"] in ("QueueMemberPause", "QueueMemberAdded", "QueueMemberRemoved")
        ]
        assert [frame["Queue"] for frame in told] == line["queues"]
        assert {(frame["Paused"], frame["PausedReason"]) for frame in told} == {
            ("1" if line["state"] == "paused" else "0", line["reason"])
        }
    for agent in {line["agent"] for line in lines}:
        mine = [line["state"] == "available" for line in lines if line["agent"] == agent]
        assert mine == [False, True] * (len(mine) // 2)


def test_nobody_is_rung_on_a_break() -> None:
    """The agents' diaries hold calls and breaks alike."""
    played = build(breaks=20.0, calls=120)
    play_all(played)
    lines = [orjson.loads(line) for line in played.breaks]
    away = [
        (
            begin["agent"],
            begin["at"],
            next(e["at"] for e in lines[at:] if e["agent"] == begin["agent"] and e is not begin),
        )
        for at, begin in enumerate(lines)
        if begin["state"] != "available"
    ]
    assert away
    for truth in played.closed.values():
        for offer in truth["offers"]:
            for agent, since, until in away:
                assert agent != offer["agent"] or offer["ended_at"] <= since or offer["offered_at"] >= until


def test_without_breaks_nothing_is_changed() -> None:
    """The same seed plays the same calls as ever."""
    played = build()
    assert played.breaks == []
    assert all(b"QueueMemberPause" not in frame.wire for frame in play_all(played))
    assert min(frame.at for frame in play_all(build())) > OPENING
