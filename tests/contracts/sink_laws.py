"""Laws that hold for every sink's Writer, in memory and real: subclass `SinkLaws` and give the fixtures."""

from collections.abc import Callable, Collection

import pytest
from structlog.testing import capture_logs

from sinks.sink import Batch, Writer

SECRETS = ("hunter2-password", "+32470123456", "Jan Peeters")
"""The password of the far side, and a number and a name that stand in the records of `batch`."""


class SinkLaws:
    """What any Writer must do.

    Fixtures to give: `open_writer` (a new writer to the same far side), `batch` (one record that the far side refuses and
    at least two that it takes), `refused` (the offset of that one), `far_side` (what is there, to be compared).
    """

    def test_the_same_batch_twice_leaves_the_same_far_side(
        self, open_writer: Callable[[], Writer], batch: Batch, far_side: Callable[[], Collection[object]]
    ) -> None:
        """A crash after the write and before the commit repeats it, from a process that remembers nothing."""
        first = open_writer()
        rejected = first.write(batch)
        first.close()
        before = far_side()
        second = open_writer()
        assert second.write(batch) == rejected
        assert second.write(batch) == rejected
        assert far_side() == before
        assert len(before) == len(batch.messages) - len(rejected)
        second.close()

    def test_outcomes_are_of_the_batch(self, open_writer: Callable[[], Writer], batch: Batch, refused: int) -> None:
        """A refusal that names another record would put that one into the dead letters."""
        writer = open_writer()
        offsets = [r.offset for r in writer.write(batch)]
        assert offsets == [refused]
        assert set(offsets) <= {m.offset() for m in batch.messages}
        writer.close()

    def test_no_secret_is_logged_or_told(
        self, open_writer: Callable[[], Writer], batch: Batch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Neither in a log line, nor in a reason, nor past the log on the terminal."""
        with capture_logs() as lines:
            writer = open_writer()
            reasons = [r.reason for r in writer.write(batch)]
            writer.close()
        said = f"{lines} {reasons} {capfd.readouterr()}"
        assert not [secret for secret in SECRETS if secret in said]

    def test_a_writer_closes_twice_quietly(self, open_writer: Callable[[], Writer]) -> None:
        """Clean-up after a failure may not hide the failure."""
        writer = open_writer()
        writer.close()
        writer.close()
