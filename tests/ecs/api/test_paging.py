from support.clients import ENDPOINTS, client, ecs, refusal
from support.work import register, unique


def test_pages_are_valid_on_every_member():
    family = unique("family")
    arns = [register(family=family) for _ in range(7)]
    found, token, pages = [], None, 0
    while pages == 0 or token:
        page = ecs.list_task_definitions(familyPrefix=family, maxResults=2, **({"nextToken": token} if token else {}))
        found += page["taskDefinitionArns"]
        token, pages = page.get("nextToken"), pages + 1
    assert (found, pages) == (arns, 4)
    paginator = client(ENDPOINTS[1]).get_paginator("list_task_definitions")
    pages = paginator.paginate(familyPrefix=family, PaginationConfig={"PageSize": 3})
    assert [arn for page in pages for arn in page["taskDefinitionArns"]] == arns


def test_a_token_is_bound_to_its_list_and_its_filters():
    family = unique("family")
    for _ in range(2):
        register(family=family)
    token = ecs.list_task_definitions(familyPrefix=family, maxResults=1)["nextToken"]
    assert (
        refusal(ecs.list_task_definitions, familyPrefix=family, status="INACTIVE", nextToken=token)[0]
        == "InvalidParameterException"
    )
    assert refusal(ecs.list_tasks, nextToken=token)[0] == "InvalidParameterException"


def test_the_sizes_of_pages_that_ecs_has():
    cluster = unique("cluster")
    ecs.create_cluster(clusterName=cluster)
    definition = register()
    for index in range(11):
        ecs.create_service(cluster=cluster, serviceName=f"s{index:02}", taskDefinition=definition, desiredCount=0)
    first = ecs.list_services(cluster=cluster)
    assert len(first["serviceArns"]) == 10, "ten where nothing is said"
    rest = ecs.list_services(cluster=cluster, nextToken=first["nextToken"])
    assert len(rest["serviceArns"]) == 1 and "nextToken" not in rest
    assert len(ecs.list_services(cluster=cluster, maxResults=100)["serviceArns"]) == 11
    for index in range(11):
        ecs.delete_service(cluster=cluster, service=f"s{index:02}")
