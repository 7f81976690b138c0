"""One question for all who ask at the same time."""

from __future__ import annotations

import asyncio

import pytest

from livetask.server.sharing import Sharing


class Question:
    """Counts how often it is asked; ``answers``: what it answers, in order, when ``go`` is set."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.go = asyncio.Event()

    async def __call__(self) -> str | None:
        self.asked += 1
        await self.go.wait()
        await asyncio.sleep(0)  # no answer is there at once
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def asking(sharing: Sharing[str], question: Question, many: int) -> list[asyncio.Task[str | None]]:
    """So many who have asked, and wait."""
    tasks = [asyncio.ensure_future(sharing.of("key", question)) for _ in range(many)]
    await asyncio.sleep(0)
    return tasks


async def test_a_thousand_who_ask_alike_are_one_question() -> None:
    sharing, question = Sharing[str](), Question("yes", "later")
    tasks = await asking(sharing, question, 1000)
    question.go.set()
    assert await asyncio.gather(*tasks) == ["yes"] * 1000
    assert question.asked == 1
    assert await sharing.of("key", question) == "later"


async def test_other_questions_are_asked_for_themselves() -> None:
    sharing, one, other = Sharing[str](), Question("one"), Question("other")
    one.go.set()
    other.go.set()
    assert await asyncio.gather(sharing.of(1, one), sharing.of(2, other)) == ["one", "other"]


@pytest.mark.parametrize("first", [None, ValueError("it broke")])
async def test_nothing_and_errors_are_the_asker_s_own(first: Exception | None) -> None:
    sharing, question = Sharing[str](), Question(first, "yes")
    tasks = await asking(sharing, question, 3)
    question.go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1:] == ["yes", "yes"]
    assert isinstance(answers[0], ValueError) if first else answers[0] is None
    assert question.asked == 2


async def test_one_who_gives_up_harms_no_other() -> None:
    sharing, question = Sharing[str](), Question("yes")
    first, second, third = await asking(sharing, question, 3)
    first.cancel()
    third.cancel()
    await asyncio.sleep(0)
    question.go.set()
    assert await second == "yes"
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(asyncio.CancelledError):
        await third
