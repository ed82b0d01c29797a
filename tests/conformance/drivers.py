"""The conformance programs of all clients: what starts each, and what is needed for it."""

import dataclasses
import os
import shutil
import sys

from protocol import REPOSITORY

HERE = os.path.dirname(os.path.realpath(__file__))


@dataclasses.dataclass(frozen=True)
class Client:
    """A client in a language. `command`: the program is relative to the repository."""

    name: str
    command: tuple
    tool: str = ""  # the program of the toolchain that the driver itself needs


_PYTHON = ("client/python/.venv/bin/python", "-m", "confstream_client.conformance")
CLIENTS = {
    client.name: client
    for client in (
        Client("cpp", ("build/bin/confstream_conformance",)),
        Client("go", ("client/go/build/conformance",)),
        Client("python", _PYTHON),
        Client("python-asyncio", (*_PYTHON, "--asyncio")),
        Client("node", ("client/node/conformance.js",), "node"),
        Client("java", ("client/java/conformance",), "java"),
        Client("rust", ("client/rust/target/release/examples/conformance",)),
    )
}

# The suite's own; only run if it is named.
REFERENCE = Client("reference", (sys.executable, os.path.join(HERE, "reference.py")))


def command_of(client):
    return [os.path.join(REPOSITORY, client.command[0]), *client.command[1:]]


def problem_of(client):
    """Why the client cannot be run; None if it can."""
    if client.tool and shutil.which(client.tool) is None:
        return f"{client.name}: there is no `{client.tool}` on this machine"
    program = command_of(client)[0]
    if not os.access(program, os.X_OK):
        return f"{client.name}: there is no {program}: tests/conformance/build {client.name.split('-')[0]} makes it"
    return None
