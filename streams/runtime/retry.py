"""How long to wait before the next try."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first` to `most` seconds, and begin anew after a success."""

    first: float = 0.1
    most: float = 5.0
    _next: float = field(default=0.0, init=False)

    def wait(self, asked: float | None = None) -> float:
        """Seconds to wait now; `asked` is what the error itself says (a Retry-After), which then counts."""
        self._next = min(max(self.first, self._next * 2), self.most)
        return self._next if asked is None else asked

    def success(self) -> None:
        self._next = 0.0
