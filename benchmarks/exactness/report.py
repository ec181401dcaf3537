"""What a case shows."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """`figures`: what was done and seen, in words; `differences`: what should not be. None is the claim."""

    claim: str
    figures: dict[str, object] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def expect(self, seen: object, wanted: object, what: str) -> None:
        """Note a difference where what was seen is not what was wanted."""
        if seen != wanted:
            self.differences.append(f"{what}: {seen}, not {wanted}")

    def __str__(self) -> str:
        figures = "\n".join(f"    {name:<34} {value}" for name, value in self.figures.items())
        wrong = "".join(f"\n    DIFFERENCE: {difference}" for difference in self.differences[:20])
        return f"{self.claim}\n{figures}\n    {'differences':<34} {len(self.differences)}{wrong}"
