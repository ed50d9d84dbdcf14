#!/usr/bin/env python3
"""Writes vectors.json: requests as botocore signs them.

    python3 -m venv venv && venv/bin/pip install botocore==1.40.0 && venv/bin/python vectors.py > vectors.json
"""
import datetime
import json

import botocore.auth
import botocore.compat
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime.datetime(2026, 11, 25, 14, 2, 11)
TARGET = "AmazonEC2ContainerServiceV20141113."
JSON = {"Content-Type": "application/x-amz-json-1.1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

# name, kind, service, region, method, url, headers, body
CASES = [
    ("list clusters", "header", "ecs", "us-local-1", "POST", "http://127.0.0.1:7400/",
     JSON | {"X-Amz-Target": TARGET + "ListClusters"}, "{}"),
    ("another region", "header", "ecs", "eu-central-1", "POST", "https://seawall.example/",
     JSON | {"X-Amz-Target": TARGET + "RunTask"}, '{"taskDefinition": "web", "name": "ü"}'),
    ("blanks in a header", "header", "ecs", "us-local-1", "POST", "http://127.0.0.1:7400/",
     JSON | {"X-Amz-Target": TARGET + "ListClusters", "X-Amz-Meta": "  a   b \t c  "}, "{}"),
    ("form", "header", "sts", "us-east-1", "POST", "http://localhost:7400/", FORM,
     "Action=GetCallerIdentity&Version=2011-06-15"),
    ("query", "header", "ecs", "us-local-1", "GET", "http://localhost:7400/?b=2&a=1&a=0&c=%2Fx%20y", {}, ""),
    ("path", "header", "ecs", "us-local-1", "GET", "http://localhost:7400/a%20b/./c/../d//e/", {}, ""),
    ("session token", "token", "ecs", "us-local-1", "POST", "http://localhost:7400/",
     JSON | {"X-Amz-Target": TARGET + "ListClusters"}, "{}"),
    ("presigned", "query", "sts", "us-east-1", "GET",
     "http://localhost:7400/?Action=GetCallerIdentity&Version=2011-06-15", {}, ""),
    ("presigned with a header", "query", "sts", "us-local-1", "GET",
     "https://sts.example/?Action=GetCallerIdentity&Version=2011-06-15", {"x-k8s-aws-id": "prod"}, ""),
    ("presigned post", "query", "ecs", "us-local-1", "POST", "http://localhost:7400/x?y=a+b%2Bc", JSON, "{}"),
]


def frozen(*_args, **_kwargs):
    return NOW


class Clock(datetime.datetime):
    utcnow = frozen
    now = frozen


def signed(case):
    name, kind, service, region, method, url, headers, body = case
    request = AWSRequest(method=method, url=url, headers=headers, data=body.encode())
    credentials = Credentials(KEY, SECRET, "token" if kind == "token" else None)
    auth = botocore.auth.SigV4QueryAuth if kind == "query" else botocore.auth.SigV4Auth
    auth(credentials, service, region).add_auth(request)
    prepared = request.prepare()
    host = prepared.headers.get("Host") or botocore.auth._host_from_url(url)
    sent = {key.lower(): (value.decode() if isinstance(value, bytes) else str(value))
            for key, value in prepared.headers.items()}
    sent["host"] = host
    # Presigning moves the body into the query.
    sent_body = (prepared.body or b"").decode()
    return {"name": name, "service": service, "region": region, "presigned": kind == "query", "method": method,
            "url": prepared.url, "headers": sent, "body": sent_body}


def main():
    if hasattr(botocore.auth, "get_current_datetime"):
        botocore.auth.get_current_datetime = frozen
    botocore.auth.datetime = type("module", (), {"datetime": Clock, "timezone": datetime.timezone})
    document = {"botocore": __import__("botocore").__version__, "key": KEY, "secret": SECRET,
                "vectors": [signed(case) for case in CASES]}
    print(json.dumps(document, indent=1, ensure_ascii=True))


main()
