"""Requests that no SDK would send."""

import http.client
import json
import urllib.parse

from .clients import ENDPOINTS

TARGET = "AmazonEC2ContainerServiceV20141113."


def post(body, target=None, endpoint=None, method="POST", path="/", **headers):
    """The status, the headers and the body of an answer."""
    address = urllib.parse.urlparse(endpoint or ENDPOINTS[0])
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    sent = {"Content-Type": "application/x-amz-json-1.1"}
    if target is not None:
        sent["X-Amz-Target"] = target
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    connection.request(method, path, body, sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), text


def error(*args, **kwargs):
    """The status and the error of a refused request."""
    status, headers, body = post(*args, **kwargs)
    said = json.loads(body)
    assert any(name.lower() == "x-amzn-requestid" and value for name, value in headers.items()), headers
    return status, said["__type"], said["message"]
