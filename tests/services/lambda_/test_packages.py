"""Zips become folders without being trusted."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.services.lambda_ import packages
from penstock.services.lambda_.errors import InvalidParameterValue
from penstock.store.blobs import Blobs
from tests.counting import calls
from tests.services.lambda_.bench import zipped

LINK = stat.S_IFLNK | 0o777


def unpacked(data: bytes, folder: Path) -> Path:
    folder.mkdir()
    packages.unpack(zipfile.ZipFile(io.BytesIO(data)), folder)
    return folder


async def test_a_zip_and_its_files_are_kept_under_its_digest(tmp_path: Path) -> None:
    blobs, data = Blobs(tmp_path), zipped({"index.py": b"x = 1\n", "lib/tool.py": b""})
    package = packages.measure(data)
    await packages.keep(blobs, data, package)
    assert (packages.folder_of(blobs, package.digest) / "lib/tool.py").is_file()
    assert blobs.path(package.digest).read_bytes() == data
    assert (package.size, package.unzipped) == (len(data), 6)
    await packages.forget(blobs, package.digest)
    assert not blobs.has(package.digest)
    assert not blobs.has(packages.folder_digest(package.digest))


def test_files_are_read_only_and_keep_their_right_to_execute(tmp_path: Path) -> None:
    folder = unpacked(zipped({"bootstrap": b"#!/bin/sh", "data": b""}, {"bootstrap": 0o100755}), tmp_path / "code")
    assert stat.S_IMODE((folder / "bootstrap").stat().st_mode) == 0o555
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o444


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil", "a/../.."])
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterValue, match="leads out of the package"):
        packages.measure(zipped({name: b"x"}))
    with pytest.raises(InvalidParameterValue):
        unpacked(zipped({name: b"x"}), tmp_path / "code")
    assert [path.name for path in tmp_path.iterdir()] == ["code"]


def test_links_inside_the_package_are_made(tmp_path: Path) -> None:
    files = {"lib/libx.so": b"../real/libx.so.1", "real/libx.so.1": b"elf"}
    folder = unpacked(zipped(files, {"lib/libx.so": LINK}), tmp_path / "code")
    assert (folder / "lib/libx.so").read_bytes() == b"elf"


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../outside", b"a/../../outside"])
def test_links_that_lead_out_are_refused(target: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterValue, match="leads out of the package"):
        unpacked(zipped({"link": target}, {"link": LINK}), tmp_path / "code")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    files = {"a": b"b", "b": b"../outside", "a/evil": b"x"}
    with pytest.raises(InvalidParameterValue):
        unpacked(zipped(files, {"a": LINK, "b": LINK}), tmp_path / "code")
    assert list(outside.iterdir()) == []


def test_special_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterValue):
        unpacked(zipped({"pipe": b""}, {"pipe": stat.S_IFIFO | 0o666}), tmp_path / "code")


def test_what_says_that_it_is_too_large_is_refused_before_it_is_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            archive.writestr(str(number), bytes(50 << 20))
    with pytest.raises(InvalidParameterValue, match="Unzipped size must be smaller than 262144000 bytes"):
        packages.measure(out.getvalue())


@pytest.mark.parametrize("data", [b"", b"no zip", zipped({})])
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidParameterValue):
        packages.measure(data)


@given(st.binary(max_size=400), st.integers(0, 300))
def test_a_damaged_zip_is_refused_or_unpacked_and_nothing_else_happens(noise: bytes, at: int) -> None:
    whole = zipped({"index.py": b"x = 1\n" * 20, "b/c": b"1"})
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    try:
        package = packages.measure(damaged)
    except InvalidParameterValue:
        return
    assert package.size == len(damaged)


def test_the_same_files_make_the_same_zip() -> None:
    assert packages.zip_of({"a": b"1", "b": b"2"}) == packages.zip_of({"b": b"2", "a": b"1"})
    assert os.fsencode("a") in packages.zip_of({"a": b"1"})


def test_a_file_among_many_costs_few_calls_and_its_directories_are_made_once(tmp_path: Path) -> None:
    data = zipped({f"node_modules/p{number % 10}/lib/f{number}.js": b"x" * 100 for number in range(1000)})
    archive = zipfile.ZipFile(io.BytesIO(data))
    (tmp_path / "code").mkdir()
    assert calls(packages.unpack, archive, tmp_path / "code", inner=True) < 1000 * 90
    assert calls(packages.measure, data, inner=True) < 1000 * 30
    assert len(list((tmp_path / "code").rglob("*.js"))) == 1000


def test_a_later_entry_of_a_name_counts_and_a_file_is_no_directory(tmp_path: Path) -> None:
    twice = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    assert (unpacked(twice.getvalue(), tmp_path / "twice") / "a").read_bytes() == b"2"
    for number, names in enumerate((("a", "a/b"), ("a/b", "a"), ("a", "a/"))):
        with pytest.raises(InvalidParameterValue):
            unpacked(zipped(dict.fromkeys(names, b"")), tmp_path / str(number))


def test_what_is_larger_than_a_piece_or_than_it_says_is_read_to_its_end(tmp_path: Path) -> None:
    large = os.urandom(3 << 20)
    assert (unpacked(zipped({"large": large}), tmp_path / "whole") / "large").read_bytes() == large
    broken = bytearray(zipped({"small": b"x" * 100, "other": b""}))
    broken[14] ^= 1  # of its checksum in the local header: that in the directory counts
    at = broken.index(b"PK\x01\x02") + 16
    broken[at] ^= 1
    with pytest.raises(InvalidParameterValue, match="Could not unzip"):
        unpacked(bytes(broken), tmp_path / "broken")


def test_directories_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidParameterValue, match="Could not unzip"):
        unpacked(zipped({"a/" * 3000 + "f": b""}), tmp_path / "deep")
    monkeypatch.setattr("penstock.services.lambda_.packages.NAMES_BYTES", 100)
    with pytest.raises(InvalidParameterValue, match="too many directories"):
        unpacked(zipped({f"{number:0>20}/f": b"" for number in range(10)}), tmp_path / "many")


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        folder = unpacked(zipped({"run": b"", "lib/x": b""}, {"run": 0o100755}), tmp_path / "code")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((folder / name).stat().st_mode) for name in ("run", "lib/x")] == [0o555, 0o444]
