"""How a node's ledger went, from what regions showed of it."""

from holdfast.model import NodeId
from holdfast.read.lives import EpochLife, lives_of
from holdfast.read.watermark import Born, End, Ledger, Promise, Run

NODE: NodeId = "9b61c07e" + "0" * 24


def born(epoch: int, started_us: int, base: End = End()) -> Born:  # noqa: B008  # frozen
    return Born(epoch, started_us, base, 2, ("a", "b", "c"))


def run(held: int, *, infinite: bool = False) -> Run:
    end = End(held, held * 10)
    return Run(NODE, end, end, end, 0, infinite)


def test_the_next_birth_tells_that_an_epoch_ended_where_no_note_says_when() -> None:
    ledger = Ledger(node=NODE, births=(born(2, 500, End(3, 30)), born(1, 100)))

    (life,) = lives_of((ledger,), (run(3),), ())

    assert life.epochs == (EpochLife(1, 100, 500), EpochLife(2, 500))
    assert (life.size, life.events) == (3, 30)


def test_only_a_promise_of_the_last_epoch_over_what_is_held_counts() -> None:
    promises = (Promise(1, 900, 1), Promise(2, 600, 3), Promise(2, 700, 4))
    ledger = Ledger(node=NODE, births=(born(1, 100), born(2, 500)), promises=promises)

    (life,) = lives_of((ledger,), (run(3),), ())

    assert life.promise_us == 600


def test_a_node_that_is_not_judged_yet_promises_nothing() -> None:
    (life,) = lives_of((Ledger(node=NODE, births=(born(1, 100),)),), (), ())

    assert life.promise_us is None
    assert not life.is_closed
