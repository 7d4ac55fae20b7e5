"""The schedule that a dry run shows is the pool's: the longest first, each on the worker that is free first."""

from scaling.planning.cost import makespan
from scaling.planning.schedule import Turn, schedule


def test_longest_first_on_the_first_free_worker() -> None:
    assert schedule([("a", 1.0), ("b", 4.0), ("c", 3.0), ("d", 2.0)], workers=2) == [
        Turn("b", 0, 0.0, 4.0),
        Turn("c", 1, 0.0, 3.0),
        Turn("d", 1, 3.0, 5.0),
        Turn("a", 0, 4.0, 5.0),
    ]


def test_its_finish_is_the_predicted_one() -> None:
    seconds = [5.0, 3.5, 3.0, 2.0, 2.0, 1.0]
    turns = schedule([(str(i), s) for i, s in enumerate(seconds)], workers=3)
    assert max(turn.end for turn in turns) == makespan(seconds, 3)
