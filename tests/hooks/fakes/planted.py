"""The secrets that the fakes of a test held, and all that the steps wrote where anyone can read it.

The fixture `no_secret_gets_out` of every test compares both: success and each failure that a test provokes is thereby a
test of the redaction, too.
"""

import base64
from dataclasses import dataclass, field

PUBLIC = {"access_key_id", "id"}
"""Keys of Secrets whose values may be printed."""
_SHORTEST = 7
"""Shorter values occur in other texts."""


@dataclass
class Planted:
    """What one test has seen so far."""

    secrets: set[str] = field(default_factory=set)
    written: list[tuple[str, str]] = field(default_factory=list)

    def clear(self) -> None:
        self.secrets.clear()
        self.written.clear()

    def plant(self, data: dict[str, str]) -> None:
        """Note the values of a Secret as the API server has them, each with its lines and in base64."""
        for name, value in data.items():
            if name in PUBLIC:
                continue
            text = base64.b64decode(value).decode(errors="replace")
            self.add(text)
            self.secrets.add(value) if len(text) >= _SHORTEST else None

    def add(self, text: str) -> None:
        """Note a secret."""
        lines = (line.strip() for line in text.splitlines() if "-----" not in line)
        self.secrets.update(line for line in lines if len(line) >= _SHORTEST)

    def write(self, where: str, text: str) -> None:
        """Note a text that anyone can read."""
        self.written.append((where, text))

    def leaks(self) -> list[str]:
        """Return where a secret was written."""
        return [where for where, text in self.written if any(secret in text for secret in self.secrets)]


PLANTED = Planted()
