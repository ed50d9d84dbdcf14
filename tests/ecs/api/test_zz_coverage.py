"""Runs last: whether the suite has called all that the page says works. Only where the whole suite ran."""

import pytest
from support.clients import ANSWERED, CALLED, REFUSED
from support.table import MODEL, WORKING


@pytest.fixture(autouse=True)
def the_whole_suite_ran():
    if len(CALLED) < len(MODEL.operation_names) / 2:
        pytest.skip("only a part of the suite ran")


def test_every_operation_was_called():
    assert set(MODEL.operation_names) - CALLED == set()


def test_every_working_operation_was_answered_and_refused():
    # There is never an update to fetch, nor a hook that is waited for.
    never_answered = {"UpdateContainerAgent", "ContinueServiceDeployment"}
    assert set(WORKING) - ANSWERED == never_answered
    assert set(WORKING) - REFUSED == set()
