"""A platform in this process, for tests.

    async with running_platform(tmp_path) as platform:      # in an asyncio test
        await platform.call("sqs", "CreateQueue", {"QueueName": "orders"})

    with PlatformThread(tmp_path) as platform:              # beside blocking clients, on a thread of its own
        platform.client("sqs").create_queue(QueueName="orders")
        shop = platform.deploy("template.yaml", Stage="test")
        platform.advance(seconds=60)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import boto3
import uvloop
from botocore.config import Config

from penstock.base.errors import TemplateError
from penstock.base.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from penstock.deploy.applications import Application
from penstock.deploy.samconfig import find
from penstock.engine.quiet import Settled
from penstock.engine.registry import Registry
from penstock.platform import Platform
from penstock.settings import Settings, own_environment

T = TypeVar("T")
START_LIMIT_S = 60.0


def settings_of(data: Path, *, memory: bool = False, **given: Any) -> Settings:
    """Settings for a test: a free port, and data in a folder of the test's own."""
    return Settings(**({"data": None if memory else data, "port": 0} | given))


@asynccontextmanager
async def running_platform(
    data: Path, *, memory: bool = False, registry: Callable[..., Registry] = Registry, **given: Any
) -> AsyncIterator[Platform]:
    """A started platform; ``registry`` makes that of its services, ``given`` are further settings."""
    platform = Platform(settings_of(data, memory=memory, **given), registry)
    await platform.start()
    try:
        yield platform
    finally:
        await platform.close()


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a template made: its outputs, and of each of its resources, by logical id, what ``Ref`` gives.

    Of a queue that is its URL, of a function, bus, rule or role its name.
    """

    name: str
    outputs: Mapping[str, str]
    resources: Mapping[str, str]


class PlatformThread:
    """A platform on an event loop in a thread of its own, to be driven from blocking code.

    What applications need is built with this process's environment, as ``penstock up`` does it.
    """

    def __init__(
        self, data: Path, *, memory: bool = False, registry: Callable[..., Registry] = Registry, **given: Any
    ) -> None:
        self._settings = settings_of(data, memory=memory, **({"environment": own_environment()} | given))
        self._registry = registry
        self.platform: Platform
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the platform and return once it answers."""
        started = threading.Event()
        failure: list[BaseException] = []

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self.platform = Platform(self._settings, self._registry)
            try:
                await self.platform.start()
            except BaseException as error:
                failure.append(error)
                raise
            finally:
                started.set()
            await self.platform.closed()

        self._thread = threading.Thread(target=lambda: uvloop.run(serve()), name="penstock", daemon=True)
        self._thread.start()
        if not started.wait(START_LIMIT_S):
            raise TimeoutError(f"the platform did not start within {START_LIMIT_S} s")
        if failure:
            raise failure[0]

    def stop(self) -> None:
        """Close the platform and wait until it has ended."""
        if self._thread is not None:
            self.run(self.platform.close())
            self._thread.join()
            self._thread = None

    def restart(self) -> None:
        """Close the platform and start it again on the same data, at the same address."""
        self.stop()
        self._settings = Settings(
            **{name: getattr(self._settings, name) for name in self._settings.__slots__} | {"port": self.platform.port}
        )
        self.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out a coroutine on the platform's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def url(self) -> str:
        """The address of every service."""
        return self.platform.url

    def client(
        self, service: str, *, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION, **given: Any
    ) -> Any:
        """A boto3 client; ``given`` goes to botocore's Config. It does not try again, so that errors show."""
        config = Config(**({"retries": {"max_attempts": 0}, "read_timeout": 120, "max_pool_connections": 32} | given))
        return boto3.client(
            service, endpoint_url=self.url, region_name=region, config=config, aws_access_key_id=account,
            aws_secret_access_key="test",
        )  # fmt: skip

    def deploy(
        self, template: Path | str, *, name: str | None = None, account: str = DEFAULT_ACCOUNT,
        region: str = DEFAULT_REGION, **parameters: str,
    ) -> Deployed:  # fmt: skip
        """Make what a template, or that of a folder, declares, and return once all of it is ready.

        ``parameters`` and ``name`` come before those of samconfig.toml. TemplateError, with resource and line, when it
        cannot be deployed; then nothing is changed. Deploying again changes what the files say otherwise.
        """
        found = find(Path(template), name=name, given=parameters)
        if found is None:
            raise TemplateError(f"{template} has no template.yaml, template.yml or template.json")
        application = Application(found.name, found.template, found.parameters, account, region, found.tags)
        self.run(self.platform.applications.deploy(application))
        made = self.run(self.platform.applications.describe(found.name, account=account, region=region))
        resources = {each["logicalId"]: each["physicalId"] for each in made["resources"]}
        return Deployed(found.name, made["outputs"], resources)

    def call(self, service: str, operation: str, request: dict[str, Any], **where: Any) -> dict[str, Any]:
        """Call an operation without HTTP."""
        return self.run(self.platform.call(service, operation, request, **where))

    def quiet(self, account: str | None = None, timeout_s: float = 60) -> Settled:
        """Wait until everything has settled; AssertionError, with what has not, when time runs out."""
        settled = self.run(self.platform.quiet(account, timeout_s * 1000))
        assert settled.quiet, f"not quiet after {timeout_s} s: {settled.busy}"
        return settled

    def freeze(self) -> int:
        """Stop platform time; its moment in ms."""
        return self.run(self.platform.freeze())

    def resume(self) -> int:
        """Let platform time flow; its moment in ms."""
        return self.run(self.platform.resume())

    def advance(self, seconds: float = 0, *, to_ms: int | None = None) -> int:
        """Move platform time, with everything due until then; how many timers fired."""
        return self.run(self.platform.advance(to_ms, by_ms=round(seconds * 1000)))

    def reset(self, account: str | None = None) -> None:
        """Delete everything an account has (None: everything)."""
        self.run(self.platform.reset(account))
