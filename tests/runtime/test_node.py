"""Node.js functions on the machine's Node: modules of both kinds, every way to answer, errors in AWS's words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import CannotRun
from penstock.engine.compute import Function

from .conftest import Machine, last, texts

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js"),
]


WAIT = "(resolve) => setTimeout(resolve, 500)); };"


def node(machine: Machine, files: str | dict[str, str], **settings: Any) -> Function:
    """A Node.js function; a text is index.mjs."""
    given = {"index.mjs": files} if isinstance(files, str) else files
    settings = {"runtime": "nodejs20.x", "handler": "index.handler", "timeout_ms": 10_000} | settings
    return machine.function(given, **settings)


@pytest.mark.parametrize(
    "files",
    [
        {"index.mjs": "export const handler = async (event) => ({ got: event });"},
        {"index.js": "exports.handler = async (event) => ({ got: event });"},
        {"index.cjs": "exports.handler = async (event) => ({ got: event });"},
        {"package.json": '{"type": "module"}',
         "index.js": "import { got } from './lib/inner.js'; export const handler = async (event) => got(event);",
         "lib/inner.js": "export const got = (event) => ({ got: event });"},
        {"index.js": "exports.handler = (event, context, callback) => callback(null, { got: event });"},
        {"index.js": "exports.handler = (event, context, done) => void setTimeout(done, 5, null, { got: event });"},
        {"index.js": "exports.handler = (event, context) => context.succeed({ got: event });"},
        {"index.mjs": "const x = await Promise.resolve('got');\n"
                      "export const handler = async (event) => ({ [x]: event });"},
        {"index.js": "exports.handler = awslambda.streamifyResponse(async (event, stream) => {"
                     " stream.write('{\"got\": '); stream.write(JSON.stringify(event)); stream.end('}'); });"},
    ],
)  # fmt: skip
async def test_handlers_of_every_kind(machine: Machine, files: dict[str, str]) -> None:
    function = node(machine, files)
    for event in ({"a": [1, None]}, "text", None, 2.5):
        assert await machine.answer(function, event) == {"got": event}
        await machine.rested()
    assert machine.environments.count(function.arn) == 1


async def test_handlers_are_found_in_folders_and_in_objects(machine: Machine) -> None:
    files = {"src/app.js": "exports.api = { get: async () => 'nested' };"}
    assert await machine.answer(node(machine, files, handler="src/app.api.get")) == "nested"


async def test_a_handler_that_tells_nothing_answers_null(machine: Machine) -> None:
    assert await machine.answer(node(machine, {"index.js": "exports.handler = () => {};"})) is None
    assert await machine.answer(node(machine, {"index.js": "exports.handler = async () => {};"})) is None


async def test_a_callback_waits_for_the_event_loop_unless_told_not_to(machine: Machine) -> None:
    source = """
        let seen = 0;
        exports.handler = (event, context, callback) => {
          if (event === 'seen') return callback(null, seen);
          context.callbackWaitsForEmptyEventLoop = event !== 'at once';
          setTimeout(() => { seen += 1; }, 60);
          callback(null, 'answered');
        };"""
    function = node(machine, {"index.js": source})
    await machine.answer(function, "seen")
    waited = await machine.invoke(function, "wait")
    assert waited.payload == b'"answered"' and waited.duration_ms >= 55
    assert await machine.answer(function, "seen") == 1
    assert (await machine.invoke(function, "at once")).duration_ms < 55


async def test_the_context_and_the_variables(machine: Machine) -> None:
    source = """
        export const handler = async (event, context) => ({
          ...context, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID,
          env: process.env.AWS_EXECUTION_ENV, cwd: process.cwd() });"""
    function = node(machine, source, name="js")
    invocation = machine.invocation({}, arn="arn:x", trace_header="Root=1-2-3", client_context='{"custom": {"a": 1}}')
    told = json.loads((await machine.environments.invoke(function, invocation)).payload)
    assert 9000 < told.pop("left") <= 10_000 and told.pop("logStreamName")
    assert told == {
        "callbackWaitsForEmptyEventLoop": True, "functionVersion": "$LATEST", "functionName": "js",
        "memoryLimitInMB": "128", "logGroupName": "/aws/lambda/js", "invokedFunctionArn": "arn:x",
        "awsRequestId": invocation.request_id, "clientContext": {"custom": {"a": 1}}, "trace": "Root=1-2-3",
        "env": "AWS_Lambda_nodejs20.x", "cwd": "/var/task",
    }  # fmt: skip


async def test_console_writes_events_with_time_request_and_level(machine: Machine) -> None:
    function = node(
        machine, "export const handler = async () => { console.log('two\\nlines', {a: 1}); console.error('e') };"
    )
    invocation = machine.invocation({})
    result = await machine.environments.invoke(function, invocation)
    info, error = (text.split("\t") for text in texts(result) if "\t" + invocation.request_id + "\t" in text)
    assert info[2:] == ["INFO", "two\nlines { a: 1 }"] and error[2:] == ["ERROR", "e"]
    assert texts(result)[0].startswith("INIT_START Runtime Version: nodejs:")


@pytest.mark.parametrize(
    ("source", "error_type", "message"),
    [
        ("exports.handler = async () => { throw new TypeError('no good'); };", "TypeError", "no good"),
        ("exports.handler = (e, c, callback) => callback(new RangeError('told'));", "RangeError", "told"),
        ("exports.handler = (e, c, callback) => callback('text');", "string", "text"),
        ("exports.handler = (e, c) => c.fail(new Error('old'));", "Error", "old"),
        ("exports.handler = () => { throw new Error('sync'); };", "Error", "sync"),
        ("exports.handler = async () => { const a = {}; a.a = a; return a; };", "Error",
         "Unable to stringify response body"),
        ("exports.handler = async () => { setTimeout(() => { throw new Error('escaped'); }); await new Promise(" + WAIT,
         "Error", "escaped"),
        ("exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise(" + WAIT,
         "Runtime.UnhandledPromiseRejection", "Error: lost"),
        ("exports.handler = async () => { await new Promise(() => {}); };", "Runtime.NodeJsExit",
         "The Lambda runtime client detected an unexpected Node.js exit code."),
    ],
)  # fmt: skip
async def test_errors(machine: Machine, source: str, error_type: str, message: str) -> None:
    function = node(machine, {"index.js": source})
    error = await machine.error(function)
    assert error["errorType"] == error_type and error["errorMessage"].startswith(message)
    assert isinstance(error["trace"], list)
    assert (await machine.error(function))["errorType"] == error_type


@pytest.mark.parametrize(
    ("files", "error_type", "message"),
    [
        ({"index.js": "require('nothing-like-it');"}, "Runtime.ImportModuleError",
         "Error: Cannot find module 'nothing-like-it'"),
        ({"index.mjs": "import 'nothing-like-it';"}, "Runtime.ImportModuleError",
         "Error: Cannot find package 'nothing-like-it'"),
        ({"other.js": ""}, "Runtime.ImportModuleError", "Error: Cannot find module '/var/task/index'"),
        ({"index.js": "exports.handler = ;"}, "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token"),
        ({"index.js": "exports.other = 1;"}, "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ({"index.js": "throw new RangeError('at load');"}, "RangeError", "at load"),
    ],
)  # fmt: skip
async def test_code_that_cannot_be_loaded(
    machine: Machine, files: dict[str, str], error_type: str, message: str
) -> None:
    result = await machine.invoke(node(machine, files))
    document = json.loads(result.payload)
    assert document["errorType"] == error_type and document["errorMessage"].startswith(message)
    assert last(result)["Error Type"] == error_type


async def test_an_exit_is_an_exit(machine: Machine) -> None:
    function = node(machine, "export const handler = async () => process.exit(5);")
    assert (await machine.error(function))["errorMessage"].endswith("Runtime exited with error: exit status 5")


async def test_callbacks_are_gone_with_node_24_as_on_aws(machine: Machine) -> None:
    source = "exports.handler = (event, context, callback) => callback(null, 1);"
    error = await machine.error(node(machine, {"index.js": source}, runtime="nodejs24.x"))
    assert error["errorType"] == "Runtime.CallbackHandlerDeprecated"


async def test_modules_of_layers_are_found_by_require_and_by_import(machine: Machine) -> None:
    layer = machine.folder / machine.names.hex(8)
    package = layer / "nodejs" / "node_modules" / "shared"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "shared", "main": "main.js"}')
    (package / "main.js").write_text("exports.who = 'layer';")
    required = {"index.js": "const { who } = require('shared'); exports.handler = async () => who;"}
    imported = {"index.mjs": "import { who } from 'shared'; export const handler = async () => who;"}
    for files in (required, imported):
        assert await machine.answer(node(machine, files, layers=(layer,))) == "layer"


async def test_an_answer_over_six_megabytes_is_refused(machine: Machine) -> None:
    function = node(machine, "export const handler = async (event) => 'x'.repeat(event);", memory_mb=512)
    assert (await machine.error(function, 7_000_000))["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(await machine.answer(function, 6_000_000)) == 6_000_000


async def test_a_missing_sdk_says_where_it_could_come_from(machine: Machine) -> None:
    function = node(machine, {"index.js": "require('@aws-sdk/no-such-client');"})
    assert "npm install it into the package" in (await machine.error(function))["errorMessage"]


async def test_without_node_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    machine = Machine(tmp_path, path="/nowhere")
    with pytest.raises(CannotRun, match=r"nodejs20\.x needs Node\.js: install it"):
        machine.environments.check(node(machine, "export const handler = 1;"))
    await machine.close()
