"""What is below the SDK: bodies, targets, and the other services that a client looks for here."""

import json

import botocore.exceptions

from support.clients import ACCOUNT, ENDPOINTS, client, ecs
from support.raw import TARGET, error, post


def test_a_request_id_comes_with_every_answer():
    ids = {ecs.list_clusters()["ResponseMetadata"]["RequestId"] for _ in range(5)}
    assert len(ids) == 5


def test_a_broken_or_wrong_body_is_answered_as_aws_does():
    for body, name in [
        ("{", "SerializationException"),
        ("[]", "SerializationException"),
        ('{"maxResults": "2"}', "SerializationException"),
        ('{"maxResults": 2.5}', "SerializationException"),
        ('{"maxResults": 99999999999}', "SerializationException"),
        ('{"maxResults": true}', "SerializationException"),
        (b'{"nextToken": "\xff"}', "SerializationException"),
        ('{"novelty": 1}', "UnsupportedFeatureException"),
    ]:
        status, is_name, message = error(body, TARGET + "ListClusters")
        assert (status, is_name) == (400, name), (body, message)
    assert post('{"novelty": null, "other": [], "nextToken": null}', TARGET + "ListClusters")[0] == 200
    assert post("", TARGET + "ListClusters")[0] == 200


def test_an_unknown_target_is_answered_as_aws_does():
    for target in (None, "", TARGET, TARGET + "Nope"):
        status, name, _ = error("{}", target)
        assert (status, name) == (400, "UnknownOperationException"), target


def test_a_body_over_the_limit_is_refused():
    status, name, message = error(json.dumps({"nextToken": "x" * (1 << 20)}), TARGET + "ListClusters")
    assert (status, name) == (413, "RequestEntityTooLargeException") or status == 400, (status, name, message)
    assert "1048576" in message


def test_absent_and_empty_are_told_apart():
    answer = json.loads(post('{"clusters": []}', TARGET + "DescribeClusters")[2])
    assert [cluster["clusterName"] for cluster in answer["clusters"]] == ["default"]


def test_the_port_says_who_the_caller_is():
    for endpoint in ENDPOINTS:
        identity = client(endpoint, "sts").get_caller_identity()
        assert identity["Account"] == ACCOUNT
        assert identity["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:")


def test_another_service_is_told_what_this_port_is():
    for service, call in [
        ("lambda", "list_functions"),
        ("sqs", "list_queues"),
        ("ec2", "describe_instances"),
        ("dynamodb", "list_tables"),
    ]:
        try:
            getattr(client(ENDPOINTS[0], service, retries={"max_attempts": 0}), call)()
        except botocore.exceptions.ClientError as refused:
            assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == 501, service
            assert service in str(refused).lower(), refused
        else:
            raise AssertionError(f"{service} answered")


def test_one_that_has_paths_and_methods_too():
    for method, path in [("GET", "/"), ("PUT", "/bucket"), ("DELETE", "/bucket/key")]:
        scope = "Credential=anyone/20260101/us-local-1/s3/aws4_request"
        status, _, body = post(None, None, method=method, path=path, Authorization=f"AWS4-HMAC-SHA256 {scope}")
        assert status == 501 and b"not s3" in body, (method, path, body)
