"""A token is not guessed through the form: so many wrong ones a minute, then nobody is let in."""

from holdfast.serve.attempts import ALL_MAX, EACH_MAX, Attempts


def test_an_address_may_fail_so_often_in_any_minute() -> None:
    attempts = Attempts()

    for second in range(EACH_MAX):
        assert not attempts.wait_seconds("mallory", second)
        attempts.failed("mallory", second)

    assert attempts.wait_seconds("mallory", EACH_MAX) == 60 - EACH_MAX
    assert not attempts.wait_seconds("alice", EACH_MAX)
    assert attempts.wait_seconds("mallory", 59.5) == 1
    assert not attempts.wait_seconds("mallory", 60.0)
    attempts.failed("mallory", 60.0)
    assert attempts.wait_seconds("mallory", 60.0) == 1


def test_all_addresses_together_may_fail_so_often() -> None:
    attempts = Attempts()

    for number in range(ALL_MAX):
        assert not attempts.wait_seconds(f"host {number}", 0.0)
        attempts.failed(f"host {number}", 0.0)

    assert attempts.wait_seconds("alice", 1.0) == 59
    assert not attempts.wait_seconds("alice", 60.0)
    assert len(attempts._failed) == 0
