"""A call whose answer is lost, sent again by an unmodified SDK: one effect, also where the leader died meanwhile."""

import threading

import pytest

from support import members
from support.clients import ENDPOINTS, client, ecs
from support.cut import Cut
from support.work import container, register, service, unique

# Each prepares a call: how it is made by a client, and what there is of its effect afterwards.


def a_definition():
    family = unique("family")

    def act(ecs_):
        ecs_.register_task_definition(family=family, containerDefinitions=[container()])

    return act, lambda: ecs.list_task_definitions(familyPrefix=family)["taskDefinitionArns"]


def a_service():
    name, definition = unique("service"), register()

    def act(ecs_):
        made = ecs_.create_service(serviceName=name, taskDefinition=definition, desiredCount=0)["service"]
        assert made["status"] == "ACTIVE"

    return act, lambda: [deployment["id"] for deployment in service(name)["deployments"]]


def a_task_that_is_started():
    me, definition = unique("me"), register()
    instance = ecs.list_container_instances()["containerInstanceArns"][0]

    def act(ecs_):
        made = ecs_.start_task(taskDefinition=definition, containerInstances=[instance], startedBy=me)
        assert len(made["tasks"]) == 1 and not made["failures"]

    return act, lambda: ecs.list_tasks(startedBy=me)["taskArns"]


def a_task_that_is_run():
    me, definition = unique("me"), register()

    def act(ecs_):
        assert len(ecs_.run_task(taskDefinition=definition, startedBy=me)["tasks"]) == 1

    return act, lambda: ecs.list_tasks(startedBy=me)["taskArns"]


def a_service_that_is_deleted():
    name = unique("service")
    ecs.create_service(serviceName=name, taskDefinition=register(), desiredCount=1)

    def act(ecs_):
        # A second deletion that is not recognised finds no service that is active, and is refused.
        assert ecs_.delete_service(service=name, force=True)["service"]["serviceName"] == name

    return act, lambda: [s for s in [service(name)] if s["status"] in ("DRAINING", "INACTIVE")]


CALLS = [a_definition, a_service, a_task_that_is_started, a_task_that_is_run, a_service_that_is_deleted]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_the_answer_is_lost(call):
    act, effects = call()
    with Cut(ENDPOINTS) as cut:
        cut.swallow()
        act(client(cut.endpoint))
        assert cut.swallowed == 1
    assert len(effects()) == 1


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_the_leader_dies_with_the_answer(call):
    act, effects = call()
    leads = members.leader()
    with Cut([leads, *others_than(leads)]) as cut:
        cut.swallow(before=lambda: members.kill(leads))
        act(client(cut.endpoint))
        assert cut.swallowed == 1
    members.all_serve()
    assert len(effects()) == 1


@pytest.mark.parametrize("delay_ms", (0, 1, 3))
def test_the_leader_dies_at_any_moment(delay_ms):
    """Not at the end of a call but somewhere in it: whether the write was kept is anyone's guess, but not the client's."""
    act, effects = a_task_that_is_started()
    leads = members.leader()
    killer = threading.Timer(delay_ms / 1000, members.kill, [leads])
    killer.start()
    act(client(others_than(leads)[0]))
    killer.join()
    members.all_serve()
    assert len(effects()) == 1


def others_than(endpoint):
    return [other for other in ENDPOINTS if other != endpoint]


def test_a_list_goes_on_over_a_change_of_leaders():
    family = unique("family")
    arns = [register(family=family) for _ in range(5)]
    first = ecs.list_task_definitions(familyPrefix=family, maxResults=2)
    leads = members.leader()
    members.kill(leads)
    rest = client(others_than(leads)[0]).list_task_definitions(familyPrefix=family, nextToken=first["nextToken"])
    assert first["taskDefinitionArns"] + rest["taskDefinitionArns"] == arns
    members.all_serve()
