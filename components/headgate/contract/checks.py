"""A check, its three outcomes, and the verdict that checks add up to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["passed", "failed", "not judged"]

#: What a failed check does: refuse the version, let it wait for a person, or only be said.
Consequence = Literal["refuse", "review", "note"]

Ruling = Literal["passed", "review", "refused"]


@dataclass(frozen=True)
class Check:
    """One thing that was asked of a version or of its data.

    `measured` and `demanded` are short texts; `sentence` is what a reviewer can act on.
    """

    family: str
    name: str
    outcome: Outcome
    consequence: Consequence
    measured: str
    demanded: str
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The gate's list of checks. The same words stand in the registry, the artifacts and the terminal."""

    checks: tuple[Check, ...]

    @property
    def ruling(self) -> Ruling:
        """Refused if a check that refuses failed, else review if one that asks for review did, else passed."""
        failed = {check.consequence for check in self.checks if check.outcome == "failed"}
        if "refuse" in failed:
            return "refused"
        return "review" if "review" in failed else "passed"

    @property
    def reasons(self) -> list[str]:
        """The sentences of the failed checks, the weightiest first."""
        weight = ("refuse", "review", "note")
        failed = [check for check in self.checks if check.outcome == "failed"]
        return [check.sentence for check in sorted(failed, key=lambda check: weight.index(check.consequence))]

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain values for JSON."""
        return {"ruling": self.ruling, "reasons": self.reasons, "checks": [asdict(check) for check in self.checks]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Verdict":
        """The inverse of `to_dict`."""
        return cls(tuple(Check(**check) for check in value["checks"]))

    def summary(self, heading: str) -> str:
        """The ruling and its reasons, as Markdown."""
        lines = [f"## {heading}: {self.ruling}", ""]
        lines += [f"- {reason}" for reason in self.reasons] or ["Every check that could be judged passed."]
        return "\n".join(lines) + "\n"

    def table(self) -> str:
        """Every check as a row of a Markdown table, the failed ones first and the data's last."""
        mark = {"passed": "✓ passed", "failed": "✗ failed", "not judged": "– not judged"}
        lines = ["| check | outcome | measured | demanded | in words |", "|---|---|---|---|---|"]
        for check in sorted(self.checks, key=lambda check: (check.outcome != "failed", check.family == "data")):
            outcome = mark[check.outcome]
            if check.outcome == "failed":
                outcome = f"**{outcome}** ({check.consequence})"
            cells = (f"{check.family}: {check.name}", outcome, check.measured, check.demanded, check.sentence)
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        return "\n".join(lines) + "\n"

    def markdown(self, heading: str) -> str:
        """Summary and table."""
        return f"{self.summary(heading)}\n{self.table()}"


def join(*verdicts: Verdict | Sequence[Check]) -> Verdict:
    """One verdict of the checks of several."""
    checks: list[Check] = []
    for verdict in verdicts:
        checks += verdict.checks if isinstance(verdict, Verdict) else verdict
    return Verdict(tuple(checks))
