"""Everything that AWS has and this platform does not is refused by name: every operation, every setting listed."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.base.errors import TemplateError, Unsupported
from penstock.deploy.catalogue import Catalogue
from penstock.deploy.check import check
from penstock.deploy.intrinsics import Scope
from penstock.deploy.problems import Lines
from penstock.engine.model import Member, ServiceModel, load
from penstock.engine.registry import Registry
from penstock.engine.service import Service
from penstock.platform import SERVICES
from penstock.testing.platform import PlatformThread
from tests.coverage.recorder import Recorder

REGISTRY = Registry(SERVICES)
AWS = [name for name in SERVICES if name != "self"]


def model_of(service: Service) -> ServiceModel:
    return load(service.model or service.name)


def sample(use: Member, around: tuple[str, ...] = ()) -> Any:
    """A value of the right type with what is required inside; the service may find much else wrong with it."""
    shape = use.shape
    if shape.document or shape.name in around:
        return {}
    match shape.type:
        case "structure":
            wanted = shape.required or (list(shape.members)[:1] if shape.traits.get("union") else [])
            inside = (*around, shape.name)
            return {name: sample(shape.members[name], inside) for name in wanted}
        case "list":
            return [sample(shape.element, (*around, shape.name))]
        case "map":
            return {"key": sample(shape.value, (*around, shape.name))}
        case "boolean":
            return True
        case "integer" | "long" | "short" | "byte" | "float" | "double" | "timestamp":
            return 1
        case "blob":
            return b"blob"
    return shape.enum[0] if shape.enum else "name"


@pytest.mark.parametrize("name", AWS)
def test_every_operation_that_is_not_offered_is_refused_by_name(
    name: str, platform: PlatformThread, recorder: Recorder
) -> None:
    service = REGISTRY.service(name)
    client = platform.client(name, parameter_validation=False, inject_host_prefix=False)
    methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
    model = model_of(service)
    for operation in model.operations():
        if operation.name in service.operations:
            continue
        request = sample(operation.input) if operation.input is not None else {}
        with pytest.raises(ClientError) as raised:
            getattr(client, methods[operation.name])(**request)
        response = raised.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 501, (operation.name, response)
        assert response["Error"]["Message"].startswith(f"{operation.name} of {name} is not supported"), response
        recorder.refusal(name, operation.name)


REFUSED = [
    (service.name, operation.name, member)
    for service in REGISTRY.all()
    for operation in service.operations.values()
    for member in operation.refused
]


@pytest.mark.parametrize("name", sorted({service for service, _, _ in REFUSED}))
def test_every_setting_listed_as_refused_is_refused_by_name(
    name: str, platform: PlatformThread, recorder: Recorder
) -> None:
    model = model_of(REGISTRY.service(name))
    for service, operation, member in REFUSED:
        if service != name:
            continue
        value = sample(model.operation(operation).input_members[member])
        with pytest.raises(Unsupported) as raised:
            platform.call(name, operation, {member: value})
        start = f"{member} of {operation} ({name}) is not supported: "
        assert raised.value.message.startswith(start) and len(raised.value.message) > len(start) + 10
        recorder.refusal(name, operation, member)


@pytest.mark.parametrize(
    "type_", [type_ for s in REGISTRY.all() for type_ in s.resources], ids=lambda type_: type_.name
)
def test_every_property_listed_as_refused_or_unknown_is_refused_by_name(type_: Any, recorder: Recorder) -> None:
    given: dict[str, Any] = dict.fromkeys((name for name in (*type_.refused, "NoSuchProperty") if "." not in name), "v")
    for place in type_.refused:
        outer, _, inner = place.partition(".")
        if inner:
            one = given.get(outer) or sample(Member("", type_.form(outer), {}))
            (one[0] if isinstance(one, list) else one)[inner] = "value"
            given[outer] = one
    body = {"Resources": {"Thing": {"Type": type_.name, "Properties": given}}}
    catalogue = Catalogue(REGISTRY.all())
    with pytest.raises(TemplateError) as raised:
        check(body, Scope(), catalogue, Lines())
    for name, instead in type_.refused.items():
        assert f"{type_.name} does not execute {name}: {instead}" in str(raised.value)
        recorder.refusal(catalogue.service_of(type_.name), type_.name, name)
    assert f"{type_.name} has no property NoSuchProperty here" in str(raised.value)


READ_ONLY = (
    "All", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible", "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn",
)  # fmt: skip


def test_attributes_that_a_queue_only_tells_are_refused_as_on_aws(platform: PlatformThread, recorder: Recorder) -> None:
    """docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html lists the others."""
    sqs = platform.client("sqs")
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    for name in READ_ONLY:
        for operation, request in (("CreateQueue", {"QueueName": "other"}), ("SetQueueAttributes", {"QueueUrl": url})):
            with pytest.raises(ClientError) as raised:
                getattr(sqs, {"CreateQueue": "create_queue"}.get(operation, "set_queue_attributes"))(
                    **request, Attributes={name: "1"}
                )
            assert raised.value.response["Error"]["Code"] == "InvalidAttributeName", raised.value.response
            recorder.refusal("sqs", operation, f"Attributes.{name}")
