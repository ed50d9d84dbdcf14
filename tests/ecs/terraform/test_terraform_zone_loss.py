"""Terraform through `seawall proxy` while zones are lost: what it began it finishes, and no call takes long."""

import pathlib
import shutil
import threading
import time

from support import members
from support.clients import ecs
from support.cut import Proxy
from support.program import proxy, seawall
from support.table import needs_member
from support.terraform import NO_CHANGE, Terraform
from support.waiting import until
from support.work import unique

FILES = pathlib.Path(__file__).parent
NAME = unique("tf-loss")
CALL_MAX_S = 5
# Long enough to see an election and the loss of the instance. What it runs is not known to have stopped before it is back.
LOST_FOR_S = 4


class Timed(Proxy):
    """Measures each call on its way to the proxy of the cluster; a call that breaks is Terraform's to send again."""

    def __init__(self, endpoint):
        self.took_s = []
        super().__init__([endpoint])

    def _ask(self, *request):
        began = time.monotonic()
        try:
            return super()._ask(*request)
        finally:
            self.took_s.append(time.monotonic() - began)


def lost_during(timed, zone, how, work):
    """Runs `work`; as soon as it has made its first call the zone is lost for a while."""
    before = len(timed.took_s)

    def lose():
        until("it calls", lambda: len(timed.took_s) > before)
        seawall("zone", how, zone)
        time.sleep(LOST_FOR_S)
        seawall("zone", "return", zone)

    loss = threading.Thread(target=lose)
    loss.start()
    try:
        return work()
    finally:
        loss.join()
        members.all_serve()


@needs_member("DeploymentCircuitBreaker", "enable")
def test_terraform_goes_on_while_a_zone_is_lost(tmp_path):
    shutil.copy(FILES / "main.tf", tmp_path)
    with proxy() as endpoint, Timed(endpoint) as timed:
        terraform = Terraform(tmp_path, timed.endpoint, NAME)
        terraform.init()
        lost_during(timed, members.name_of(members.leader()), "kill", terraform.apply)
        code, printed = terraform.plan()
        assert code == NO_CHANGE, printed
        lost_during(timed, members.name_of(members.leader()), "cut", lambda: terraform("destroy", "-auto-approve"))
        assert max(timed.took_s) < CALL_MAX_S, f"a call took {max(timed.took_s):.1f} s"
    assert ecs.describe_services(services=[NAME])["services"][0]["status"] == "INACTIVE"
