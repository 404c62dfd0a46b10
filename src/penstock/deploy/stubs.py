"""Types that do nothing: stubs of unsupported ones, and those that do nothing on AWS either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from penstock.base.names import Arn
from penstock.engine.context import WaitingContext
from penstock.engine.model.written import TEXT
from penstock.engine.resource import Declared, Physical, ResourceType


class StubAttributes(Mapping[str, Any]):
    """Every attribute of a stub: a text that names the stub, an ARN where the attribute's name says so."""

    def __init__(self, name: str, service: str, region: str, account: str) -> None:
        self._name, self._arn = name, str(Arn(service, region, account, f"stub/{name}"))

    def __contains__(self, attribute: object) -> bool:
        return isinstance(attribute, str)

    def __getitem__(self, attribute: str) -> str:
        return self._arn if attribute.endswith("Arn") else f"{self._name}.{attribute}"

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


def stub(logical_id: str, type_: str, name: str, *, account: str, region: str) -> Physical:
    """A named stub of a resource whose type is not supported."""
    service = type_.split("::")[1].lower() if type_.count("::") >= 2 else "stub"
    return Physical(name, StubAttributes(name, service, region, account))


async def _create(cx: WaitingContext, declared: Declared) -> Physical:
    return Physical(declared.generated_name)


async def _update(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    return physical


async def _delete(cx: WaitingContext, physical: Physical) -> None:
    return None


# The CDK puts one into each template for its authors' statistics; on AWS it does nothing but be counted.
CDK_METADATA: Final = ResourceType(
    "AWS::CDK::Metadata", _create, _update, _delete, executed=frozenset(), kept=frozenset({"Analytics"}),
    forms={"Analytics": TEXT},
)
