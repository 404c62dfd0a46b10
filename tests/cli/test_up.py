"""``penstock up`` as a process of its own: in the foreground, in the background, into a server that runs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from penstock.cli.client import Client
from penstock.store.lock import DirectoryLock, owner_of

TEMPLATE = """
Parameters: {Delay: {Type: Number, Default: 0}}
Resources:
  Orders: {Type: AWS::SQS::Queue, Properties: {DelaySeconds: !Ref Delay, Tags: [{Key: a, Value: b}]}}
Outputs: {Url: {Value: !Ref Orders}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a template; a server left behind on its data is stopped."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "template.yaml").write_text(TEMPLATE)
    yield shop
    owner = owner_of(shop / ".penstock") if (shop / ".penstock").is_dir() else None
    if owner is not None:
        os.kill(owner["pid"], signal.SIGKILL)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "AWS_"))}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def penstock(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments], cwd=folder, env=environment(), text=True, capture_output=True,
        timeout=90, check=False,
    )  # fmt: skip


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], list[str]]:
    """Start ``up`` in the foreground and read what it says until it follows the log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "up", *arguments], cwd=folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line.rstrip("\n"))
        if "Following the log" in line:
            break
    return process, said


def finish(process: subprocess.Popen[str], number: int) -> str:
    process.send_signal(number)
    rest, _ = process.communicate(timeout=60)
    return rest


def test_up_serves_deploys_and_stops_with_its_state_kept(folder: Path) -> None:
    process, said = start(folder, "--port", "0")
    text = "\n".join(said)
    url = said[0].split()[1]
    assert "create complete" in text and f"export AWS_ENDPOINT_URL={url}" in text
    sqs = boto3.client("sqs", endpoint_url=url, region_name="us-east-1", aws_access_key_id="000000000000",
                       aws_secret_access_key="x")  # fmt: skip
    queue = sqs.list_queues()["QueueUrls"][0]
    sqs.send_message(QueueUrl=queue, MessageBody="kept")
    rest = finish(process, signal.SIGINT)
    assert process.returncode == 0 and "the state is kept" in rest
    assert "Traceback" not in rest
    process, said = start(folder, "--port", "0")
    assert "1 to keep" in "\n".join(said)
    client = Client(said[0].split()[1], account="000000000000", region="us-east-1")
    messages = client.own("GET", "/sqs/messages", QueueUrl=queue.rpartition("/")[2])["messages"]
    assert [message["body"] for message in messages] == ["kept"]
    finish(process, signal.SIGTERM)
    assert process.returncode == 0


def test_up_leaves_a_server_behind_joins_it_and_down_stops_it(folder: Path) -> None:
    first = penstock(folder, "up", "--detach", "--wait", "--port", "0", "--json")
    assert first.returncode == 0, first.stderr
    told: dict[str, Any] = json.loads(first.stdout)
    assert told["application"]["state"] == "CREATE_COMPLETE"
    assert told["environment"]["AWS_ENDPOINT_URL"] == told["url"]
    again = penstock(folder, "up", "--detach", "--param", "Delay=5")
    assert again.returncode == 0, again.stderr
    assert "runs here already" in again.stdout and "update complete" in again.stdout
    assert json.loads(penstock(folder, "status", "--json").stdout)["applications"][0]["parameters"] == {"Delay": "5"}
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "penstock.toml").write_text(f"port = {told['url'].rpartition(':')[2]}\n")
    for what in ((), ("--stop",), ("--all",)):
        refused = penstock(elsewhere, "down", *what)
        assert (refused.returncode, f"serves {folder / '.penstock'}" in refused.stderr) == (1, True), refused
    down = penstock(folder, "down", "--all")
    assert (down.returncode, owner_of(folder / ".penstock")) == (0, None), down
    assert f"The server at {told['url']} has stopped; the state is kept in {folder / '.penstock'}." in down.stdout
    assert penstock(folder, "status", "--url", told["url"]).returncode == 3


def test_stopping_what_does_not_run_says_so_and_is_done(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "penstock.toml").write_text(f"port = {port}\n")
    stopped = penstock(folder, "down", "--stop")
    said = f"No server runs on {folder / '.penstock'}: there is nothing to stop.\n"
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, said, "")
    told = penstock(folder, "down", "--stop", "--json")
    assert (told.returncode, json.loads(told.stdout)) == (0, {"removed": [], "stopped": False})
    there = penstock(folder, "down", "--stop", "--url", f"http://127.0.0.1:{port}")
    assert (there.returncode, f"No server runs at http://127.0.0.1:{port}" in there.stdout) == (0, True), there
    (folder / "penstock.toml").write_text("port = 0\n")
    assert penstock(folder, "down", "--stop").stdout == said
    for more in ((), ("--all",)):  # what was to be removed is not
        assert penstock(folder, "down", *more).returncode == 3
    starting = DirectoryLock(folder / ".penstock")
    starting.acquire()
    try:
        refused = penstock(folder, "down", "--stop")
    finally:
        starting.release()
    assert (refused.returncode, "is starting a server on" in refused.stderr) == (1, True), refused


def test_settings_that_are_kept_are_named_once(folder: Path) -> None:
    (folder / "template.yaml").write_text(
        "Resources: {R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Version: '2012-10-17', "
        "Statement: [{Effect: Allow, Principal: {AWS: '*'}, Action: 'sts:AssumeRole'}]}}}}"
    )
    said = penstock(folder, "up", "--detach", "--port", "0")
    assert "AWS::IAM::Role.AssumeRolePolicyDocument" in said.stdout, said
    assert "AWS::IAM::Role.AssumeRolePolicyDocument" not in penstock(folder, "up", "--detach").stdout
    assert penstock(folder, "down", "--stop").returncode == 0


def test_the_commands_that_up_leaves_behind_find_the_server(folder: Path) -> None:
    kept = penstock(folder, "up", "--detach", "--port", "0").stdout
    assert "It runs in the background: `penstock status`, `penstock logs -f`, `penstock down --stop`." in kept
    assert penstock(folder, "down", "--stop").returncode == 0
    said = penstock(folder, "up", "--detach", "--port", "0", "--memory").stdout
    status, _, stop = re.findall(r"`penstock (.*?)`", said.splitlines()[-1])
    assert "in memory" in penstock(folder, *status.split()).stdout
    assert penstock(folder, *stop.split()).returncode == 0
    assert penstock(folder, *status.split()).returncode == 3


def test_a_template_that_cannot_be_deployed_ends_up_with_1_and_the_line(folder: Path) -> None:
    (folder / "template.yaml").write_text("Resources:\n  Bad:\n    Type: AWS::Nothing::Here\n")
    ran = penstock(folder, "up", "--port", "0", "--memory")
    assert ran.returncode == 1
    assert "AWS::Nothing::Here" in ran.stderr and "Bad" in ran.stderr
    assert "Traceback" not in ran.stderr
    ran = penstock(folder, "up", "--port", "0", "--detach")
    assert ran.returncode == 1
    assert owner_of(folder / ".penstock") is None, "a server that nobody asked for was left behind"


def test_with_auth_only_the_keys_of_the_settings_may_ask(folder: Path) -> None:
    (folder / "penstock.toml").write_text('auth = true\n[access_keys]\n"000000000000" = "s3cret"\n')
    told = json.loads(penstock(folder, "up", "--detach", "--port", "0", "--json").stdout)
    assert told["application"]["state"] == "CREATE_COMPLETE"
    assert penstock(folder, "send", "Orders", "signed").returncode == 0

    def queues(secret: str) -> Any:
        given = {"endpoint_url": told["url"], "region_name": "us-east-1", "aws_access_key_id": "000000000000"}
        return boto3.client("sqs", aws_secret_access_key=secret, **given).list_queues()

    assert len(queues("s3cret")["QueueUrls"]) == 1
    with pytest.raises(ClientError, match="signature"):
        queues("guessed")
    assert penstock(folder, "down", "--stop").returncode == 0


def test_a_port_in_use_is_answered_with_its_owner(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.settimeout(0.1)
        ran = penstock(folder, "up", "--port", str(port), "--memory")
    assert ran.returncode == 1
    assert f"Port {port} is taken by a program that is no Penstock server" in ran.stderr
    assert "--port" in ran.stderr and ran.stderr.count("\n") == 1


def test_a_misspelt_setting_is_refused_with_2(folder: Path) -> None:
    (folder / "penstock.toml").write_text("durabilty = 'os'\n")
    ran = penstock(folder, "up", "--memory", "--port", "0")
    assert ran.returncode == 2 and "did you mean durability" in ran.stderr


def test_asking_for_help_does_not_import_the_platform() -> None:
    code = "import sys, penstock.cli.app; print({'penstock.platform', 'botocore', 'uvloop'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert ran.stdout.strip() == "set()"


SLOW = """
Transform: AWS::Serverless-2016-10-31
Resources:
  F: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.12, Handler: app.f, CodeUri: code}}
"""


class Slow:
    """``up`` of a function whose installer writes something and then takes for ever, with a process of its own."""

    def __init__(self, folder: Path, *arguments: str, requirements: str = "slow==1\n") -> None:
        self.cache, self.folder, tools = folder.parent / "cache", folder, folder.parent / "bin"
        self.pids = folder.parent / "pids"
        tools.mkdir()
        (tools / "uv").write_text(
            f'#!/bin/sh\nfor last; do :; done\ntouch "$last/half"\nsleep 600 &\necho $$ $! > {self.pids}.new\n'
            f"mv {self.pids}.new {self.pids}\necho begun\nwait\n"
        )
        (tools / "uv").chmod(0o755)
        (folder / "code").mkdir()
        (folder / "code" / "app.py").write_text("def f(event, context): pass\n")
        (folder / "code" / "requirements.txt").write_text(requirements)
        (folder / "template.yaml").write_text(SLOW)
        paths = {**environment(), "PATH": f"{tools}:{os.environ['PATH']}", "PENSTOCK_CACHE": str(self.cache)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "up", "--port", "0", *arguments], cwd=folder, env=paths, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def until(self, words: str) -> None:
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if words in line:
                return
        raise AssertionError("".join(said))

    def interrupt(self) -> str:
        """Ctrl-C while the installer runs; what is said after that, once nothing of the build is left."""
        pids = [int(pid) for pid in self.pids.read_text().split()]
        partial = list(self.cache.glob("*.part"))
        assert [path.name for each in partial for path in each.iterdir()] == ["half"] and all(map(runs, pids))
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=6)
        assert not any(map(runs, pids)), "an installer was left behind"
        assert not list(self.cache.iterdir()) and "Traceback" not in rest
        return rest


def runs(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits for whoever has inherited it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ctrl_c_ends_a_build_at_once_and_says_that_it_did_not_deploy(folder: Path) -> None:
    slow = Slow(folder, "--json")
    slow.until("begun")
    rest = slow.interrupt()
    assert slow.process.returncode == 130 and "the state is kept" in rest


def test_ctrl_c_ends_a_rebuild_under_watch_at_once(folder: Path) -> None:
    slow = Slow(folder, "--watch", requirements="")
    slow.until("watching")
    (folder / "code" / "requirements.txt").write_text("slow==1\n")
    slow.until("begun")
    rest = slow.interrupt()
    assert slow.process.returncode == 0 and "the state is kept" in rest


def test_the_log_in_the_foreground_shows_what_a_long_run_said_at_its_beginning(folder: Path) -> None:
    process, said = start(folder, "--port", "0")
    assert process.stdout is not None
    url = said[0].split()[1]
    logs = boto3.client("logs", endpoint_url=url, region_name="us-east-1", aws_access_key_id="000000000000",
                        aws_secret_access_key="x")  # fmt: skip
    logs.create_log_group(logGroupName="/aws/lambda/slow")
    logs.create_log_stream(logGroupName="/aws/lambda/slow", logStreamName="s")
    now = int(Client(url, account="000000000000", region="us-east-1").own("GET", "/clock")["now"] * 1000)
    for at, message in ((now, "newest"), (now - 60_000, "a minute ago")):
        logs.put_log_events(
            logGroupName="/aws/lambda/slow", logStreamName="s", logEvents=[{"timestamp": at, "message": message}]
        )  # fmt: skip
    lines = [process.stdout.readline().rstrip("\n") for _ in range(2)]
    assert [line.split("slow")[1].strip() for line in lines] == ["newest", "a minute ago"]
    finish(process, signal.SIGTERM)
    assert process.returncode == 0
