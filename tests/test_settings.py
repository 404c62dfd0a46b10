"""Settings: what wins, what is refused, what is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.settings import SettingsError, as_environment, load


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text('port = 1\nregion = "eu-west-1"\ndurability = "os"\n')
    settings = load(tmp_path, environment={"PENSTOCK_PORT": "2", "PENSTOCK_REGION": "eu-north-1"}, port=3)
    assert (settings.port, settings.region, settings.durability) == (3, "eu-north-1", "os")


def test_data_is_beside_the_template_unless_said_otherwise(tmp_path: Path) -> None:
    assert load(tmp_path, environment={}).data == tmp_path / ".penstock"
    (tmp_path / "penstock.toml").write_text('data = "state"\n')
    assert load(tmp_path, environment={}).data == tmp_path / "state"


def test_memory_is_no_data_directory(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"PENSTOCK_MEMORY": "true"}).memory
    assert load(tmp_path, environment={}, memory=True).data is None


@pytest.mark.parametrize(
    ("environment", "file", "named"),
    [
        ({"PENSTOCK_PROT": "1"}, "", "did you mean PENSTOCK_PORT"),
        ({}, "durabilty = 'os'", "did you mean durability"),
        ({"PENSTOCK_PORT": "many"}, "", "PENSTOCK_PORT in the environment is 'many'"),
        ({}, "durability = 'none'", "full or os"),
        ({}, "memory = 'perhaps'", "true or false"),
        ({}, "port = ", "is not a TOML file"),
        ({"PENSTOCK_PORT": "99999"}, "", "1 to 65535"),
        ({"PENSTOCK_HOST": "0.0.0.0"}, "", "allow_hosts"),
        ({}, 'host = "10.1.2.3"', "other machines can reach"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, environment: dict[str, str], file: str, named: str) -> None:
    (tmp_path / "penstock.toml").write_text(file)
    with pytest.raises(SettingsError, match=named):
        load(tmp_path, environment=environment)


def test_settings_travel_through_an_environment_unchanged(tmp_path: Path) -> None:
    settings = load(
        tmp_path, environment={"PATH": "/bin", "PENSTOCK_SEED": "7"}, allow_hosts=("a.example", "*"),
        access_keys={"AKIA1": "s3cret", "AKIA2": "t"}, port=0, auth=True, durability="os",
    )  # fmt: skip
    again = load(Path("/"), environment=as_environment(settings))
    for name in settings.__slots__:
        if name != "environment":
            assert getattr(again, name) == getattr(settings, name), name
    assert again.environment["PATH"] == "/bin"
    assert load(Path("/"), environment=as_environment(load(tmp_path, environment={}, memory=True))).memory


def test_auth_without_anybody_who_may_sign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="access_keys names nobody"):
        load(tmp_path, environment={}, auth=True)
    (tmp_path / "penstock.toml").write_text('auth = true\n[access_keys]\nAKIA = "secret"\n')
    assert load(tmp_path, environment={}).access_keys == {"AKIA": "secret"}
