"""Layers: published, used, deleted; their code is kept as long as a function has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.base.errors import ApiError
from tests.services.lambda_.bench import Bench, Benches, kept, located, zipped


async def publish(on: Bench, name: str = "tools", content: bytes = b"1", **given: object) -> str:
    data = zipped({"python/tool.py": content})
    arn: str = (await on.call("PublishLayerVersion", LayerName=name, Content={"ZipFile": data}, **given))[
        "LayerVersionArn"
    ]
    return arn


async def test_a_function_finds_its_layers_in_their_order(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        first, second = await publish(on, "one", b"1"), await publish(on, "two", b"2")
        await on.function(Layers=[first, second])
        await on.invoke()
        layers = on.environments.invocations[0][0].layers
        assert [layer.joinpath("python/tool.py").read_bytes() for layer in layers] == [b"1", b"2"]
        found = await on.call("GetFunctionConfiguration", FunctionName="orders")
        assert [layer["Arn"] for layer in found["Layers"]] == [first, second]


async def test_version_numbers_are_never_given_out_twice(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        assert (await publish(on)).endswith(":layer:tools:1")
        await on.call("DeleteLayerVersion", LayerName="tools", VersionNumber=1)
        assert (await publish(on)).endswith(":layer:tools:2")


async def test_a_deleted_version_lives_on_in_the_functions_that_have_it(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await publish(on)
        await on.function(Layers=[arn])
        await on.call("DeleteLayerVersion", LayerName="tools", VersionNumber=1)
        assert (await on.call("ListLayers"))["Layers"] == []
        await on.background_done()
        await on.invoke()
        assert on.environments.invocations[0][0].layers[0].joinpath("python/tool.py").is_file()
        await on.call("UpdateFunctionConfiguration", FunctionName="orders", Layers=[])
        await on.background_done()
        assert len(kept(on)) == 2  # the function's own zip and folder


async def test_two_versions_of_one_layer_do_not_go_together(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        both = [await publish(on), await publish(on)]
        with pytest.raises(ApiError, match="Two different versions of the same layer"):
            await on.function(Layers=both)


async def test_layers_are_listed_by_what_they_fit(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await publish(on, "a", CompatibleRuntimes=["python3.12"])
        await publish(on, "a", CompatibleRuntimes=["nodejs22.x"])
        await publish(on, "b")
        assert [layer["LayerName"] for layer in (await on.call("ListLayers"))["Layers"]] == ["a", "b"]
        fitting = (await on.call("ListLayers", CompatibleRuntime="python3.12"))["Layers"]
        assert [layer["LatestMatchingVersion"]["Version"] for layer in fitting] == [1]
        versions = await on.call("ListLayerVersions", LayerName="a", MaxItems=1)
        assert ([each["Version"] for each in versions["LayerVersions"]], "NextMarker" in versions) == ([2], True)
        with pytest.raises(ApiError, match="InvalidParameterValueException: The value of Marker"):
            await on.call("ListLayerVersions", LayerName="a", Marker="2")


async def test_a_version_tells_where_its_package_is(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await publish(on, Description="d")
        found = await on.call("GetLayerVersionByArn", Arn=arn)
        assert found == await on.call("GetLayerVersion", LayerName="tools", VersionNumber=1)
        assert len(located(found["Content"])) == found["Content"]["CodeSize"]
