#!/usr/bin/env python3
"""Writes the public messages of ECS shapes from botocore's model of the ECS API.

    pip install botocore==1.44.5 && python3 proto/generate.py

Facts only are taken: operation, member and error names, types, required members, enum values and limits; no documentation text.

Reads   proto/field-numbers.json   the committed, append-only table of field numbers. A number in it never changes and is never
                                   given to another member: stored entries and other people's clients hold it.
Writes  proto/field-numbers.json   with numbers for members that are new
        proto/seawall/v1/*.proto   one file a resource (the files in OWN are written by hand)
        proto/ecs-model.json       what proto cannot say: JSON names, required members, enum values, errors of each operation
"""
import gzip
import json
import os
import re

import botocore

HERE = os.path.dirname(os.path.abspath(__file__))
NUMBERS = os.path.join(HERE, "field-numbers.json")

# One file a resource. An operation that is not listed here is answered with UnsupportedFeatureException.
FAMILIES = {
    "cluster": [
        "CreateCluster", "DescribeClusters", "ListClusters", "DeleteCluster", "UpdateCluster", "UpdateClusterSettings",
    ],
    "capacity_provider": [
        "PutClusterCapacityProviders", "CreateCapacityProvider", "DescribeCapacityProviders", "UpdateCapacityProvider",
        "DeleteCapacityProvider",
    ],
    "container_instance": [
        "DescribeContainerInstances", "ListContainerInstances", "UpdateContainerInstancesState", "DeregisterContainerInstance",
        "UpdateContainerAgent",
    ],
    "task_definition": [
        "RegisterTaskDefinition", "DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies",
        "DeregisterTaskDefinition", "DeleteTaskDefinitions",
    ],
    "task": [
        "RunTask", "StartTask", "StopTask", "DescribeTasks", "ListTasks", "GetTaskProtection", "UpdateTaskProtection",
    ],
    "service": [
        "CreateService", "UpdateService", "DescribeServices", "ListServices", "DeleteService", "ListServicesByNamespace",
    ],
    "service_deployment": [
        "ListServiceDeployments", "DescribeServiceDeployments", "StopServiceDeployment", "ContinueServiceDeployment",
        "DescribeServiceRevisions",
    ],
    "attribute": ["PutAttributes", "ListAttributes", "DeleteAttributes"],
    "tag": ["TagResource", "UntagResource", "ListTagsForResource"],
    "account_setting": ["PutAccountSetting", "PutAccountSettingDefault", "ListAccountSettings", "DeleteAccountSetting"],
}
# Writes take `expected_version`, resources carry `version`: the log index of their last change (not part of ECS's JSON).
EXTRA_NUMBER = 1000
VERSIONED = ["Cluster", "Service", "TaskDefinition"]
READS = ("Describe", "List", "Get")
SCALARS = {"string": "string", "integer": "int32", "long": "int64", "double": "double", "float": "float", "boolean": "bool"}


def snake(name):
    name = name.replace("GiB", "Gib").replace("TotalLocalStorageGB", "TotalLocalStorageGb")
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def default_json_name(field):
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)


class Generator:
    def __init__(self):
        path = os.path.join(os.path.dirname(botocore.__file__), "data/ecs/2014-11-13/service-2.json.gz")
        self.model = json.load(gzip.open(path))
        self.shapes = self.model["shapes"]
        self.numbers = json.load(open(NUMBERS)) if os.path.exists(NUMBERS) else {}
        self.wrappers = {}
        self.facts = {"operations": {}, "shapes": {}}

    def reachable(self, name, seen):
        shape = self.shapes[name]
        if shape["type"] == "structure":
            if name in seen:
                return seen
            seen.add(name)
            for member in shape.get("members", {}).values():
                self.reachable(member["shape"], seen)
        elif shape["type"] == "list":
            self.reachable(shape["member"]["shape"], seen)
        elif shape["type"] == "map":
            self.reachable(shape["value"]["shape"], seen)
        return seen

    def number(self, message, field):
        table = self.numbers.setdefault(message, {})
        if field not in table:
            table[field] = max([n for n in table.values() if n < EXTRA_NUMBER], default=0) + 1
        return table[field]

    def type_of(self, shape_name):
        """(label, proto type, timestamp?) of a shape."""
        shape = self.shapes[shape_name]
        kind = shape["type"]
        if kind in SCALARS:
            return "optional ", SCALARS[kind]
        if kind == "timestamp":
            return "", "google.protobuf.Timestamp"
        if kind == "structure":
            return "", shape_name
        if kind == "list":
            return "repeated ", self.type_of(shape["member"]["shape"])[1]
        if kind == "map":
            return "", f"map<string, {self.type_of(shape['value']['shape'])[1]}>"
        raise SystemExit(f"{shape_name}: no proto type for {kind}")

    def field(self, message, name, shape_name):
        label, proto_type = self.type_of(shape_name)
        if message.startswith("Update") and message.endswith("Request") and (label == "repeated " or proto_type.startswith("map<")):
            # Absent keeps, empty clears: proto3 cannot tell the two apart in a list or a map.
            self.wrappers[shape_name + "Value"] = f"{label}{proto_type} items = 1;"
            label, proto_type = "", shape_name + "Value"
        field = snake(name)
        option = f' [json_name = "{name}"]' if default_json_name(field) != name else ""
        return f"  {label}{proto_type} {field} = {self.number(message, field)}{option};"

    def message(self, name):
        shape = self.shapes[name]
        lines = [f"message {name} {{"]
        lines += [self.field(name, member, spec["shape"]) for member, spec in shape.get("members", {}).items()]
        if name in VERSIONED:
            lines.append(f"  // The log index of the last change.\n  optional int64 version = {EXTRA_NUMBER};")
        if name.endswith("Request") and not name.startswith(READS):
            lines.append(
                "  // Refused with VersionMismatch unless the resource's version is this one.\n"
                f"  optional int64 expected_version = {EXTRA_NUMBER};"
            )
        self.facts["shapes"][name] = {
            "required": shape.get("required", []),
            "members": {m: self.fact(s["shape"]) for m, s in shape.get("members", {}).items()},
        }
        return "\n".join(lines + ["}"])

    def fact(self, shape_name):
        shape = self.shapes[shape_name]
        kind = shape["type"]
        out = {"type": kind}
        if kind == "structure":
            out["shape"] = shape_name
        if kind == "list":
            out["member"] = self.fact(shape["member"]["shape"])
        if kind == "map":
            out["value"] = self.fact(shape["value"]["shape"])
        for limit in ("min", "max", "pattern", "enum"):
            if limit in shape:
                out[limit] = shape[limit]
        return out

    def run(self):
        used = {}
        for family, operations in FAMILIES.items():
            for name in operations:
                operation = self.model["operations"][name]
                ends = [operation["input"]["shape"], operation["output"]["shape"]]
                self.facts["operations"][name] = {
                    "family": family, "input": ends[0], "output": ends[1],
                    "errors": [error["shape"] for error in operation["errors"]],
                }
                for end in ends:
                    for shape in self.reachable(end, set()):
                        used.setdefault(shape, set()).add(family)
        placed = {}
        for shape, families in used.items():
            placed.setdefault(next(iter(families)) if len(families) == 1 else "common", []).append(shape)
        self.write_families(placed)
        self.write_service()
        dump(NUMBERS, self.numbers)
        dump(os.path.join(HERE, "ecs-model.json"), self.facts)

    def write_families(self, placed):
        messages, wrappers, users = {}, {}, {}
        for family in ["common", *FAMILIES]:
            self.wrappers = {}
            messages[family] = [self.message(name) for name in sorted(placed.get(family, []))]
            wrappers.update(self.wrappers)
            for name in self.wrappers:
                users.setdefault(name, []).append(family)
        for name, body in sorted(wrappers.items()):
            # As the shapes: in the one file that uses it, or where all find it.
            family = users[name][0] if len(users[name]) == 1 else "common"
            messages[family].append(f"message {name} {{\n  {body}\n}}")
        for family, parts in messages.items():
            self.write(family, parts)

    def write(self, family, messages):
        imports = [] if family == "common" else ['import "seawall/v1/common.proto";']
        if any("google.protobuf.Timestamp" in message for message in messages):
            imports.insert(0, 'import "google/protobuf/timestamp.proto";')
        write(family, imports, messages)

    def write_service(self):
        lines = ["// ECS's operations under their names. Errors: the google.rpc code, with ECS's exception name in the metadata", 
                 "// `x-seawall-error`.", "service Ecs {"]
        for operations in FAMILIES.values():
            for name in operations:
                operation = self.model["operations"][name]
                lines.append(f"  rpc {name}({operation['input']['shape']}) returns ({operation['output']['shape']});")
        write("ecs", [f'import "seawall/v1/{family}.proto";' for family in sorted(FAMILIES)], ["\n".join(lines + ["}"])])


def write(family, imports, parts):
    head = "// Made by proto/generate.py from botocore's model: do not edit.\n" 'syntax = "proto3";\n\npackage seawall.v1;\n'
    with open(os.path.join(HERE, "seawall/v1", family + ".proto"), "w") as out:
        out.write("\n".join([head + ("\n" + "\n".join(imports) + "\n" if imports else ""), "\n\n".join(parts)]) + "\n")


def dump(path, value):
    with open(path, "w") as out:
        json.dump(value, out, indent=1, sort_keys=False)
        out.write("\n")


if __name__ == "__main__":
    Generator().run()
