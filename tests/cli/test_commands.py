"""The commands against a running platform: what they print, for people and for programs, and how they end."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import typer

from penstock.cli.app import app, run
from penstock.testing.platform import PlatformThread
from tests.cli.conftest import Penstock

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
COMMANDS = ["up", "down", "send", "invoke", "logs", "events", "trace", "clock", "status", "reset"]
HANDLER = """
import os, boto3
def handler(event, context):
    print("hello", event)
    if "Records" in event:
        for record in event["Records"]:
            boto3.client("sqs").send_message(QueueUrl=os.environ["NEXT"], MessageBody=record["body"] + " paid")
    if event.get("fail"):
        raise ValueError("as asked")
    return event
"""


def code_of(source: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", source)
    return packed.getvalue()


def function(platform: PlatformThread, name: str, **environment: str) -> None:
    platform.client("lambda").create_function(
        FunctionName=name, Runtime=f"python3.{sys.version_info.minor}", Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/any", Code={"ZipFile": code_of(HANDLER)}, Timeout=10,
        Environment={"Variables": environment},
    )  # fmt: skip


def test_every_command_explains_itself_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        assert run([command, "--help"]) == 0
        text = capsys.readouterr().out
        assert "Examples:" in text and f"penstock {command}" in text, command


def test_every_command_knows_json(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        run([command, "--help"])
        assert "--json" in capsys.readouterr().out, command


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"penstock \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_a_message_is_sent_and_its_id_is_what_trace_takes(penstock: Penstock, platform: PlatformThread) -> None:
    platform.client("sqs").create_queue(QueueName="orders")
    sent = penstock("send", "orders", '{"id": 1}', "--attr", "tone=warm", "--delay", "0")
    assert sent.code == 0 and re.fullmatch(UUID, sent.out.strip())
    traced = penstock("trace", sent.out.strip())
    assert traced.out.startswith("sqs:SendMessage  queue orders  ")
    assert sent.out.strip() in penstock("events").out
    assert json.loads(penstock("events", "--json").out)[0]["eventId"] == sent.out.strip()
    assert "MessageId" in json.loads(penstock("send", "orders", "{}", "--json").out)


def test_a_trace_follows_a_message_through_a_function(penstock: Penstock, platform: PlatformThread) -> None:
    sqs = platform.client("sqs")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("orders", "receipts")}
    function(platform, "payment", NEXT=urls["receipts"])
    platform.client("lambda").create_event_source_mapping(
        FunctionName="payment", EventSourceArn="arn:aws:sqs:us-east-1:000000000000:orders"
    )
    id_ = penstock("send", "orders", "tea").out.strip()
    lines = penstock("trace", id_, "--wait").out.splitlines()
    assert lines[0].startswith("sqs:SendMessage  queue orders  3 B")
    assert "→ function payment  delivered in " in lines[1]
    assert "sqs:SendMessage  queue receipts  8 B" in lines[2]
    caused = json.loads(penstock("trace", id_, "--json").out)
    receipt = next(event for event in caused["events"] if event["source"].endswith(":receipts"))
    below = penstock("trace", receipt["eventId"])
    assert id_ in below.err  # what caused it is told, beside the tree
    assert penstock("trace", receipt["eventId"], "--roots").out.splitlines() == lines


def test_a_function_is_invoked_and_its_failure_is_an_exit_code(penstock: Penstock, platform: PlatformThread) -> None:
    function(platform, "echo")
    good = penstock("invoke", "echo", '{"n": 1}')
    assert (good.code, json.loads(good.out)) == (0, {"n": 1})
    bad = penstock("invoke", "echo", '{"fail": true}', "--log")
    assert bad.code == 1
    assert json.loads(bad.out)["errorMessage"] == "as asked"
    assert "REPORT RequestId" in bad.err
    as_json = json.loads(penstock("invoke", "echo", '{"fail": 1}', "--json").out)
    assert as_json["functionError"] == "Unhandled" and re.fullmatch(UUID, as_json["requestId"])
    later = penstock("invoke", "echo", '{"n": 2}', "--async")
    assert re.fullmatch(UUID, later.out.strip())
    assert "→ function echo  delivered" in penstock("trace", later.out.strip(), "--wait").out
    platform.quiet()
    logged = penstock("logs", "echo")
    assert "hello {'n': 1}" in logged.out and "hello {'n': 2}" in logged.out
    lines = [json.loads(line) for line in penstock("logs", "--json", "--filter", "hello").out.splitlines()]
    assert {line["logGroupName"] for line in lines} == {"/aws/lambda/echo"}


def test_the_clock_is_shown_and_moved(penstock: Penstock) -> None:
    assert "frozen" in penstock("clock", "freeze").out
    before = json.loads(penstock("clock", "--json").out)["now"]
    assert "fired" in penstock("clock", "advance", "1h30m").out
    assert json.loads(penstock("clock", "--json").out)["now"] == pytest.approx(before + 5400)
    assert "flows" in penstock("clock", "resume").out


def test_status_shows_what_runs_and_waits_for_quiet(penstock: Penstock, platform: PlatformThread) -> None:
    shown = penstock("status", "--wait")
    assert shown.code == 0 and platform.url in shown.out and "nothing" in shown.out
    document = json.loads(penstock("status", "--json").out)
    assert document["quiet"]["quiet"] is True and document["endpoint"] == platform.url


def test_a_reset_deletes_and_says_what(penstock: Penstock, platform: PlatformThread) -> None:
    platform.client("sqs").create_queue(QueueName="orders")
    assert penstock("reset", "--yes").out == "Everything of account 000000000000 is deleted.\n"
    assert "QueueUrls" not in platform.client("sqs").list_queues()


def test_what_is_not_there_ends_with_4_and_one_line(penstock: Penstock) -> None:
    for command in ("send nowhere x", "invoke nothing", "trace zz", "logs nothing", "down shop"):
        ran = penstock(*command.split())
        assert ran.code == 4, (command, ran)
        assert ran.err.startswith("Error: ") and ran.err.count("\n") == 1, ran.err
    assert "has another name. No template here has one." in penstock("logs", "nothing").err


def test_wrong_use_ends_with_2(penstock: Penstock, tmp_path: Path) -> None:
    for command in ("send", "clock advance soon", f"invoke f @{tmp_path}/none", "send q x --attr y"):
        assert penstock(*command.split()).code == 2, command
    assert run(["nonsense"]) == 2


def test_no_server_ends_with_3_and_says_how_to_start_one(penstock: Penstock) -> None:
    ran = penstock("status", url="http://127.0.0.1:1")
    assert ran.code == 3
    assert "penstock up" in ran.err and ran.err.count("\n") == 1


def test_a_port_that_is_taken_anew_each_time_is_no_address_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (tmp_path / "penstock.toml").write_text("port = 0\n")
    assert run(["status"]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "No Penstock server runs on" in said and ":0" not in said


def test_nothing_is_coloured_without_a_terminal(penstock: Penstock, platform: PlatformThread) -> None:
    for command in (["status"], ["events"], ["trace", "zz"]):
        ran = penstock(*command)
        assert "\x1b" not in ran.out + ran.err


def test_an_application_is_removed_by_name(penstock: Penstock, platform: PlatformThread, tmp_path: Any) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {Orders: {Type: AWS::SQS::Queue}}")
    request = {"name": "shop", "template": str(tmp_path / "template.yaml")}
    platform.call("self", "DeployApplication", request)
    platform.quiet()
    assert "shop" in penstock("status").out
    assert penstock("send", "Orders", "by the template's name").code == 0
    ran = penstock("down", "shop")
    assert (ran.code, "Removed shop." in ran.out) == (0, True)
    assert json.loads(penstock("status", "--json").out)["applications"] == []
    assert "no application to remove; `penstock down --stop` stops the server" in penstock("down").err
    assert "no application shop, nor any other" in penstock("down", "shop").err


def shell(home: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of /bin/sh with a home of its own: nothing of the real one is read or written."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", f"{command}\ntrue"], env={"HOME": str(home), "PATH": path, **environment}, cwd=home,
        text=True, capture_output=True, check=True, timeout=60,
    )  # fmt: skip


def test_completion_is_installed_for_the_shell_that_is_named(tmp_path: Path) -> None:
    for name, file in (("bash", ".bash_completions/penstock.sh"), ("zsh", ".zfunc/_penstock"),
                       ("fish", ".config/fish/completions/penstock.fish")):  # fmt: skip
        said = shell(tmp_path, f"penstock --install-completion {name}").stdout
        assert said.startswith(f"Completion for {name} is installed in {tmp_path / file};")
        shown = shell(tmp_path, f"penstock --show-completion={name}").stdout
        assert shown.strip() == (tmp_path / file).read_text().strip() and f"complete_{name}" in shown
    nameless = shell(tmp_path, "penstock --show-completion")  # from /bin/sh, which has no completion
    assert "Name the shell: penstock --show-completion bash (or zsh, fish" in nameless.stderr
    wrong = shell(tmp_path, "penstock --show-completion tcsh")
    assert "There is no completion for tcsh: name one of bash, zsh, fish" in wrong.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("""
eval "$(penstock --show-completion bash)"
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _penstock_completion penstock
    echo "${COMPREPLY[@]}"
}
complete_words penstock s
complete_words penstock up --param Stage = dev --wa
complete_words penstock clock ad
complete_words penstock up ''
""")
    said = shell(tmp_path, f"bash {script}").stdout.splitlines()
    assert said == ["status send", "--wait --watch", "advance", ""]


def test_every_completion_is_one_line_with_its_help(tmp_path: Path) -> None:
    fish = {"_PENSTOCK_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    said = shell(tmp_path, "penstock", _TYPER_COMPLETE_ARGS="penstock reset --", **fish).stdout.splitlines()
    assert len(said) > 5 and [line for line in said if not line.startswith("--") or "\t" not in line] == []
    pending: list[Any] = [typer.main.get_command(app)]
    for command in pending:  # a line of help that is longer is broken in two, and the second one offered as a word
        pending += getattr(command, "commands", {}).values()
        options = [each for each in command.params if each.param_type_name == "option" and each.help]
        assert {each.name: each.help for each in options if len(each.help) > 79} == {}, command.name
    assert len(pending) > len(COMMANDS)
