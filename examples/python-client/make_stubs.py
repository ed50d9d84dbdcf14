"""Makes Python stubs of the public API from proto/: python make_stubs.py OUT."""

import pathlib
import sys

from grpc_tools import protoc
import grpc_tools

proto = pathlib.Path(__file__).resolve().parents[2] / "proto"
out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
files = sorted(str(path) for path in (proto / "seawall" / "v1").glob("*.proto"))
well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
arguments = ["protoc", f"-I{proto}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
sys.exit(protoc.main(arguments))
