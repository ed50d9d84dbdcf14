"""Terraform and its provider as they are."""

import json
import os
import subprocess

from .work import IMAGE, SLEEP

TERRAFORM = os.environ["SEAWALL_TERRAFORM"]
PLUGINS = os.environ["SEAWALL_TERRAFORM_PLUGINS"]
NO_CHANGE, CHANGE = 0, 2


class Terraform:
    """Runs commands in a folder of its own."""

    def __init__(self, folder, endpoint, name):
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            # The provider's schema is large: most of what it does is to clean up after reading it.
            "GOGC": "800",
            "TF_CLI_ARGS": "-no-color",
            "TF_VAR_endpoint": endpoint,
            "TF_VAR_name": name,
            "TF_VAR_image": IMAGE,
            "TF_VAR_command": json.dumps(SLEEP),
            "TF_VAR_desired_count": "2",
        }

    def __call__(self, *words, codes=(0,), **variables):
        """What a command prints and its exit code; `variables` stay what they are from then on."""
        self.environment.update({f"TF_VAR_{name}": value for name, value in variables.items()})
        ended = subprocess.run(
            [TERRAFORM, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert ended.returncode in codes, f"{' '.join(words)} ended with {ended.returncode}:\n{ended.stdout}"
        return ended.stdout, ended.returncode

    def apply(self, codes=(0,), **variables):
        return self("apply", "-auto-approve", codes=codes, **variables)[0]

    def plan(self, *words):
        printed, code = self("plan", "-detailed-exitcode", *words, codes=(NO_CHANGE, CHANGE))
        return code, printed

    def init(self):
        self("init", f"-plugin-dir={PLUGINS}")
