#!/usr/bin/python3
"""Runs every command and example of the documents for users as a reader would, against a server that serves
`demo`.

A command succeeds if it exits with 0 and prints what it should; one that goes on for ever, if it prints that, and is
then interrupted. What is not run is what CI runs as a step of its own, or installs with: the table ELSEWHERE, which is
checked.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
DOCUMENTS = ("README.md", "docs/clients.md", "docs/grpcurl.md")
SECONDS = 60.0

# Commands that are not run here, and the line elsewhere that sees to them.
ELSEWHERE = {
    r"\./dev test\b": (".ci/run", "step ./dev test"),
    r"\./dev clients\b": (".ci/run", "step ./dev clients"),
    r"\./dev interop\b": (".ci/run", "step ./dev interop"),
    r"\./dev serve\b": ("tests/interop/documents.py", '["./dev", "serve",'),  # it serves these examples
    r"docker build -t confstream \.": ("tests/compose/run", "build confstreamd"),
    r"docker run ": ("tests/compose/run", "docker run -d"),
    r"cmake --install build --component programs ": ("tests/package/run", "for component in programs"),
    r"go install \S*grpcurl\S*": ("tests/interop/run", "go install"),
}
# These go on until they are interrupted.
ENDLESS = (
    r"confstream watch\b",
    r"ConfigService/Watch",
    r"Health/Watch",
    r"^confstreamd ",
    r"^python3? ",
)
# What the output must have in it; the first pattern that the command has counts.
EXPECTED = (
    (r"source\": \"absent", r'"reason": ?"SOURCE_NOT_FOUND"'),
    (r"resume_token", r"\S"),
    (r"Health/", r'"status": "SERVING"'),
    (r"ConfigService/Watch", r'"(in_sync|inSync)": true'),
    (r"ConfigService/GetSnapshot \| jq -r '\.snapshot", r"^greeting: hello$"),
    (r"ConfigService/GetSnapshot", r'"(view_digest|viewDigest)"'),
    (r"ConfigService/ListSources", r'"SOURCE_STATE_SERVING"'),
    (r" list$", r"^confstream\.v1\.ConfigService$"),
    (r" describe \.", r"^message "),
    (r" describe ", r"^rpc "),
    (r"", r"\S"),
)


class Failed(Exception):
    """A command of a document does not do what the document says."""


def blocks_of(text):
    """(language, first line's number, lines) of each block of code: a fenced one, or one that is indented by four."""
    lines, at = text.split("\n"), 0
    while at < len(lines):
        begin = at
        fence = re.fullmatch(r"```(\w*)", lines[at])
        if fence:
            at += 1
            while lines[at] != "```":
                at += 1
            yield fence[1], begin + 2, lines[begin + 1 : at]
        elif lines[at].startswith("    ") and (begin == 0 or not lines[begin - 1].strip()):
            while at < len(lines) and lines[at].startswith("    "):
                at += 1
            yield "", begin + 1, [line[4:] for line in lines[begin:at]]
            continue
        at += 1


def is_endless(command):
    return "until_in_sync" not in command and any(re.search(pattern, command) for pattern in ENDLESS)


class Reader:
    """Somebody who follows the documents in a shell at the root of the checkout."""

    def __init__(self, directory, path):
        self._directory = directory
        self._environment = {**os.environ, "PATH": path, "HOME": directory}
        self._variables = ""  # assignments of earlier lines, which a shell would remember

    def run(self, command):
        """Runs a line of a document. Raises Failed."""
        command = re.sub(r"\s+# .*$", "", command)
        assignment = re.match(r"[a-z_]+=\$\(", command)
        # Places that a reader has, and a test has not.
        for place in ("/config/", "/etc/", "/run/"):
            command = re.sub(rf"(?<=[=:]){place}", self._directory + place, command)
        script = f"set -euo pipefail; {self._variables}\n{command}"
        if assignment:
            self._variables += command + "\n"
            script += f'\nprintf "%s" "${command.split("=")[0]}"'
        output = self._run(["bash", "-c", script], is_endless(command))
        expected = next(result for pattern, result in EXPECTED if re.search(pattern, command))
        if not re.search(expected, output, re.MULTILINE):
            raise Failed(f"its output has no /{expected}/: {output}")

    def run_python(self, lines):
        """Runs an example in Python: of the client, or with stubs made as the document says."""
        if any("confstream_client" in line for line in lines):
            python = os.path.join(REPOSITORY, "client", "python", ".venv", "bin", "python")
            output = self._run([python, "-u", "-c", "\n".join(lines)], True)
            if "greeting.yaml" not in output:
                raise Failed(f"it printed: {output}")
            return
        stubs = os.path.join(self._directory, "stubs")
        os.makedirs(stubs, exist_ok=True)
        subprocess.run(
            ["protoc", "-Iproto", f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
            + [f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}"]
            + ["confstream/v1/config_service.proto"],
            cwd=REPOSITORY,
            check=True,
        )
        path = os.path.join(stubs, "example.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        if not self._run(["/usr/bin/python3", "-u", path], True):
            raise Failed("it printed nothing")

    def _run(self, words, endless):
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                words,
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

            def printed():
                return os.pread(output.fileno(), 1 << 20, 0).decode(errors="replace")

            end = time.monotonic() + SECONDS
            while process.poll() is None and time.monotonic() < end:
                if endless and printed():
                    time.sleep(0.3)  # an error that comes at once shows now
                    break
                time.sleep(0.02)
            code = process.poll()
            if code is None:
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if code is None and not endless:
                raise Failed(f"it did not end in {SECONDS:.0f} s: {printed()}")
            if code is not None and (endless or code != 0):
                raise Failed(f"it ended with {code}: {printed()}")
            return printed()


def see_elsewhere(command):
    """True if CI runs the command as a step of its own."""
    for pattern, (path, text) in ELSEWHERE.items():
        if re.match(pattern, command):
            with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
                if text not in file.read():
                    raise Failed(f"{path} does not say `{text}`")
            return True
    return False


def serve(programs):
    """The server of the examples: `./dev serve`, or the same with programs from elsewhere. Returns its process."""
    command = ["./dev", "serve", "--listen", "unix:/tmp/confstream.sock"]
    if programs is not None:
        volume = os.path.join(REPOSITORY, "build", "example-volume")
        files = ["greeting.yaml=greeting: hello", 'features.json={"dark_mode": false}']
        subprocess.run(["examples/volume-writer", volume, *files], cwd=REPOSITORY, check=True)
        command = [os.path.join(programs, "confstreamd"), "--source", f"demo={volume}", "--listen", "127.0.0.1:50051"]
        command += ["--listen", "unix:/tmp/confstream.sock"]
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = []
    for line in process.stderr:
        log.append(line)
        if re.search(r"\bready\b", line):
            return process
    raise Failed(f"the server for the examples ended with {process.wait()}: {''.join(log)}")


def volumes_of_readme(directory):
    """What README's example of settings serves."""
    for name in ("config/payments", "etc", "run"):
        os.makedirs(os.path.join(directory, name))
    for name in ("config/payments/a.yaml", "etc/flags.yaml"):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write("x: 1\n")


def play(reader, document):
    """Runs the examples of a document; returns how many of them failed, and how many ran."""
    with open(os.path.join(REPOSITORY, document), encoding="utf-8") as file:
        text = file.read()
    failed = ran = 0

    def attempt(number, shown, run):
        nonlocal failed, ran
        ran += 1
        try:
            run()
            print(f"ok      {document}:{number}: {shown}", flush=True)
        except Failed as error:
            failed += 1
            print(f"FAILED  {document}:{number}: {shown}\n        {error}", flush=True)

    for language, number, lines in blocks_of(text):
        if language == "python":
            attempt(number, "the example in Python", lambda lines=lines: reader.run_python(lines))
            continue
        if language not in ("", "sh", "shell", "console"):
            attempt(number, f"a block of {language}", lambda: _unknown())
            continue
        for at, line in enumerate(lines):
            if not line.strip() or line.startswith("#"):
                continue
            attempt(number + at, line, lambda line=line: see_elsewhere(line) or reader.run(line))
    return failed, ran


def _unknown():
    raise Failed("documents.py knows no way to run it")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", help="serve by confstreamd in this directory, not by ./dev serve")
    parser.add_argument("--grpcurl", required=True, help="the program")
    parser.add_argument("documents", nargs="*", default=DOCUMENTS)
    arguments = parser.parse_args()
    for tool in ("jq", "protoc", "grpc_python_plugin", arguments.grpcurl):
        if shutil.which(tool) is None:
            sys.exit(f"documents: there is no {tool} on this machine; the examples need it")
    directory = tempfile.mkdtemp(prefix="confstream-documents-")
    os.mkdir(os.path.join(directory, "bin"))
    os.symlink(os.path.realpath(arguments.grpcurl), os.path.join(directory, "bin", "grpcurl"))
    volumes_of_readme(directory)
    path = os.pathsep.join(
        [os.path.join(directory, "bin"), os.path.join(REPOSITORY, "build", "bin"), os.environ["PATH"]]
    )
    reader = Reader(directory, path)
    failed = ran = 0
    server = None
    try:
        server = serve(arguments.programs)
        for document in arguments.documents:
            counts = play(reader, document)
            failed, ran = failed + counts[0], ran + counts[1]
    finally:
        if server is not None:
            server.terminate()  # ./dev serve has become confstreamd
            server.wait(SECONDS)
        shutil.rmtree(directory)
    print(f"{ran} commands and examples, {failed} failed")
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
