"""A small language model in plain Python: which character follows the two before it.

Softmax regression, trained by stochastic gradient descent: one row of weights for each character of the context and its
place. It learns enough to write text that looks like Python from afar. Pure: knows nothing of Celery or of files.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

CONTEXT = 2


@dataclass(slots=True)
class Model:
    """``alphabet``: the characters it knows. ``weights``: one row of logits for (place in the context, character)."""

    alphabet: str
    weights: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = len(self.alphabet)
        self.weights = [[0.0] * size for _ in range(CONTEXT * size)]

    def encoded(self, text: str) -> list[int]:
        """The text as numbers of characters; those it does not know are left out."""
        numbers = {character: number for number, character in enumerate(self.alphabet)}
        return [numbers[character] for character in text if character in numbers]

    def probabilities(self, before: list[int]) -> list[float]:
        """How likely each character is after the ``CONTEXT`` characters ``before``."""
        size = len(self.alphabet)
        rows = [self.weights[place * size + number] for place, number in enumerate(before)]
        logits = [sum(column) for column in zip(*rows, strict=True)]
        highest = max(logits)
        raised = [math.exp(logit - highest) for logit in logits]
        total = sum(raised)
        return [value / total for value in raised]

    def learn(self, before: list[int], after: int, rate: float) -> float:
        """One step of gradient descent; returns the loss before it, in nats."""
        chances = self.probabilities(before)
        loss = -math.log(max(chances[after], 1e-12))
        chances[after] -= 1.0
        size = len(self.alphabet)
        for place, number in enumerate(before):
            row = self.weights[place * size + number]
            for column, slope in enumerate(chances):
                row[column] -= rate * slope
        return loss

    def loss(self, text: list[int], samples: int) -> float:
        """The mean loss over at most ``samples`` places of ``text``, in nats a character."""
        places = range(CONTEXT, len(text), max(1, (len(text) - CONTEXT) // samples))
        losses = (-math.log(max(self.probabilities(text[i - CONTEXT : i])[text[i]], 1e-12)) for i in places)
        return math.fsum(losses) / len(places)

    def written(self, length: int, seed: int) -> str:
        """Text of its own, ``length`` characters long."""
        chance = random.Random(seed)
        text = self.encoded("\n\n")[:CONTEXT] or [0] * CONTEXT
        for _ in range(length):
            weights = self.probabilities(text[-CONTEXT:])
            text.append(chance.choices(range(len(self.alphabet)), weights)[0])
        return "".join(self.alphabet[number] for number in text[CONTEXT:])
