"""A proxy that holds every raw answer against the model, for clients that are not Python's."""

from . import shapes
from .clients import ENDPOINTS
from .cut import Proxy
from .table import MODEL

TARGET = "AmazonEC2ContainerServiceV20141113."


class Checked(Proxy):
    """Before all members, one after the other."""

    def __init__(self):
        self.wrong = []
        self.calls = []
        super().__init__(ENDPOINTS, spreads=True)

    def answered(self, request, status, headers, body):
        target = request.get("X-Amz-Target", "")
        if target.startswith(TARGET):
            operation = MODEL.operation_model(target.removeprefix(TARGET))
            self.calls.append(operation.name)
            lower = {name.lower(): value for name, value in headers.items()}
            differences = shapes.check(operation, status, lower, body)
            self.wrong += [f"{operation.name} answered {body.decode()}: {what}" for what in differences]
        return True
