"""One endpoint, `seawall proxy`, while a zone is lost: no call takes long, and none fails in the end."""

import threading
import time

import pytest

from support import members
from support.clients import ENDPOINTS, client
from support.program import proxy, seawall
from support.work import unique

CALL_MAX_S = 5
# Long enough to see an election, the loss of the instance and its return.
LOST_FOR_S = 3


class Caller(threading.Thread):
    """Reads and writes by turns until it is told to stop."""

    def __init__(self, endpoint):
        super().__init__()
        self.ecs = client(endpoint)
        self.done = threading.Event()
        self.took_s, self.failed, self.families = [], [], []

    def run(self):
        definition = {"name": "main", "image": "process", "memory": 16, "command": ["true"]}
        while not self.done.is_set():
            family = unique("chaos")
            for call, of in [
                (self.ecs.register_task_definition, {"family": family, "containerDefinitions": [definition]}),
                (self.ecs.describe_task_definition, {"taskDefinition": family}),
                (self.ecs.list_clusters, {}),
            ]:
                began = time.monotonic()
                try:
                    call(**of)
                except Exception as error:  # noqa: BLE001 - whatever it is, the call failed
                    self.failed.append(f"{call.__name__}: {error}")
                self.took_s.append(time.monotonic() - began)
            self.families.append(family)


@pytest.mark.parametrize("how", ("kill", "cut"))
def test_no_call_fails_while_the_leader_s_zone_is_lost(how):
    zone = members.name_of(members.leader())
    with proxy() as endpoint:
        callers = [Caller(endpoint) for _ in range(3)]
        for caller in callers:
            caller.start()
        time.sleep(0.5)
        seawall("zone", how, zone)
        try:
            time.sleep(LOST_FOR_S)
        finally:
            seawall("zone", "return", zone)
            time.sleep(0.5)
            for caller in callers:
                caller.done.set()
            for caller in callers:
                caller.join()
        failed = [failure for caller in callers for failure in caller.failed]
        assert not failed, failed
        longest_s = max(took_s for caller in callers for took_s in caller.took_s)
        assert longest_s < CALL_MAX_S, f"a call took {longest_s:.1f} s"
        assert all(len(caller.families) > 5 for caller in callers)
    members.all_serve()
    with_one = client(ENDPOINTS[0])
    for family in callers[0].families[-5:]:
        arns = with_one.list_task_definitions(familyPrefix=family)["taskDefinitionArns"]
        assert len(arns) == 1, "each write that was sent again has one effect"
