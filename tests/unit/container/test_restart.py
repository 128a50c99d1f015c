"""Restart policies: Docker's words, and what comes after which end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.container.restart import MOST_RETRIES, RestartPolicy, Tries
from firkin.errors import UsageError

POLICIES = st.one_of(
    st.sampled_from(["no", "always", "unless-stopped"]).map(RestartPolicy),
    st.integers(0, MOST_RETRIES).map(lambda retries: RestartPolicy("on-failure", retries)),
)


@given(POLICIES)
def test_a_policy_is_what_its_text_says(policy: RestartPolicy) -> None:
    assert RestartPolicy.parse(str(policy)) == policy


@pytest.mark.parametrize(
    "text", ["", "never", "always:3", "no:1", "on-failure:", "on-failure:-1", "on-failure:x", "on-failure:²",
             "on-failure:99999999999", "Always"],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^restart: "):
        RestartPolicy.parse(text)


def delays(policy: RestartPolicy, ends: list[tuple[bool, float]]) -> list[float]:
    """The delay before each try, for a container that ends so: whether well, and after how many seconds."""
    found, tries = [], Tries()
    for ok, ran_s in ends:
        again = policy.next(tries, ok=ok, ran_s=ran_s)
        if again is None:
            break
        tries = again
        found.append(again.delay_s)
    assert tries.count == len(found)
    return found


def test_each_try_waits_twice_as_long_up_to_a_minute() -> None:
    found = delays(RestartPolicy("always"), [(True, 1.0)] * 13)
    assert found == [0.1 * 2**n for n in range(10)] + [60.0] * 3


def test_one_that_ran_for_ten_seconds_begins_from_the_beginning() -> None:
    ends = [(False, 1.0), (False, 1.0), (False, 10.0), (False, 9.9)]
    assert delays(RestartPolicy("unless-stopped"), ends) == [0.1, 0.2, 0.1, 0.2]


def test_on_failure_is_for_failures_and_only_so_many() -> None:
    assert delays(RestartPolicy("on-failure", 2), [(False, 0.0)] * 9) == [0.1, 0.2]
    assert len(delays(RestartPolicy("on-failure"), [(False, 0.0)] * 9)) == 9
    assert delays(RestartPolicy("on-failure"), [(False, 0.0), (True, 0.0)]) == [0.1]
    assert delays(RestartPolicy(), [(False, 0.0)]) == []
