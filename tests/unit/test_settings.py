"""Where a setting comes from, and what a bad one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.settings import Settings, load, parse_display


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "fenster.toml"
    path.write_text('port = 1111\nmemory_mib = 1024\nvcpus = 1\nadvertise = ["203.0.113.7"]\n')
    return path


def test_flags_beat_the_environment_which_beats_the_file(config: Path) -> None:
    settings = load(
        {"vcpus": 4, "port": None}, environ={"FENSTER_VCPUS": "3", "FENSTER_MEMORY_MIB": "4096"}, config=config
    )
    assert (settings.vcpus, settings.memory_mib, settings.port) == (4, 4096, 1111)
    assert settings.advertise == ("203.0.113.7",)


def test_the_environment_can_name_the_file(config: Path) -> None:
    assert load({}, environ={"FENSTER_CONFIG": str(config)}).port == 1111


def test_defaults_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings = load({}, environ={})
    assert (settings.host, settings.port, settings.media_port) == ("127.0.0.1", 8080, None)
    assert (settings.driver, settings.accel, settings.vcpus, settings.memory_mib) == ("qemu", "auto", 2, 2048)


@pytest.mark.parametrize(
    ("flags", "environ", "named"),
    [
        ({"port": 70000}, {}, "--port"),
        ({"max_sessions": 0}, {}, "--max-sessions"),
        ({"host": "example.org"}, {}, "--host"),
        ({"run_dir": "/" + "x" * 80}, {}, "--run-dir"),
        ({}, {"FENSTER_MAX_SESIONS": "3"}, "FENSTER_MAX_SESIONS"),
        ({}, {"FENSTER_ACCEL": "xen"}, "FENSTER_ACCEL"),
        ({}, {"FENSTER_DISPLAY": "wide"}, "FENSTER_DISPLAY"),
        ({}, {"FENSTER_ADVERTISE": "203.0.113.7,here"}, "FENSTER_ADVERTISE"),
        ({}, {"FENSTER_ADVERTISE": "0.0.0.0"}, "FENSTER_ADVERTISE"),
        ({}, {"FENSTER_PROFILE": "../xfce"}, "FENSTER_PROFILE"),
        ({"tls_cert": "/c.pem"}, {}, "tls_key"),
        ({"tls_key": "/k.pem"}, {}, "--tls-key"),
        ({"tls_cert": "/c.pem", "tls_key": "/k.pem", "insecure_http": True}, {}, "--insecure-http"),
        ({"public_url": "desk.example"}, {}, "--public-url"),
        ({"public_url": "https://desk.example/path"}, {}, "--public-url"),
        ({}, {"FENSTER_ALLOWED_HOSTS": "https://a.example"}, "FENSTER_ALLOWED_HOSTS"),
        ({}, {"FENSTER_TRUSTED_PROXIES": "10.0.0.1,proxy"}, "FENSTER_TRUSTED_PROXIES"),
        ({}, {"FENSTER_CREATES_PER_MIN": "0"}, "FENSTER_CREATES_PER_MIN"),
        ({}, {"FENSTER_AUDIT_KEEP": "-1"}, "FENSTER_AUDIT_KEEP"),
        ({}, {"FENSTER_TLS_CERTIFICATE": "/c.pem"}, "FENSTER_TLS_CERTIFICATE"),
    ],
)
def test_a_bad_setting_is_named_with_its_source(flags: dict[str, Any], environ: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ=environ)
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("text", "named"), [("prot = 1\n", "prot in"), ("port = [", "not TOML"), ('port = "eighty"\n', "port in")]
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load({}, environ={}, config=path)
    assert named in caught.value.message
    assert str(path) in caught.value.message


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no settings file"):
        load({}, environ={}, config=tmp_path / "none.toml")


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environ = {
        "FENSTER_TEST_IMAGE": "x",
        "FENSTER_API_KEY": "k",
        "FENSTER_URL": "u",
        "FENSTER_IN_USERNS": "1",
        "PATH": "/",
    }
    assert isinstance(load({}, environ=environ), Settings)


def test_lists_sizes_and_names_from_the_environment() -> None:
    environ = {
        "FENSTER_ADVERTISE": "203.0.113.7, 2001:db8::7",
        "FENSTER_DISPLAY": "1920x1080",
        "FENSTER_HOST": "localhost",
    }
    settings = load({}, environ=environ)
    assert settings.advertise == ("203.0.113.7", "2001:db8::7")
    assert settings.display == (1920, 1080)
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    "text", ["", "1280", "1280x", "x720", "1280x720x24", "-1x720", "319x720", "1280x4097", "１２８０x720x"]
)
def test_bad_displays(text: str) -> None:
    with pytest.raises(ValueError, match="display"):
        parse_display(text)


def test_the_proxys_settings(tmp_path: Path) -> None:
    config = tmp_path / "fenster.toml"
    config.write_text(
        'proxy_allow = ["example.com", "*.example.net"]\nproxy_ports = [80, 443]\n'
        '[proxy]\ntype = "http"\nhost = "gate.example"\nport = 7000\nusername = "sp1"\npassword = "s3cret"\n'
        'decodo = { country = "de" }\n'
    )
    read = load({}, environ={"FENSTER_PROXY_DENY": "a.example, 10.0.0.1"}, config=config)
    assert (read.proxy.host, read.proxy.password.get_secret_value()) == ("gate.example", "s3cret")
    assert (read.proxy_allow, read.proxy_ports) == (("example.com", "*.example.net"), (80, 443))
    assert read.proxy_deny == ("a.example", "10.0.0.1")
    assert "s3cret" not in repr(read)
    # The environment is stronger.
    assert load({}, environ={"FENSTER_PROXY": "none"}, config=config).proxy.type == "none"


@pytest.mark.parametrize(
    ("name", "value"),
    [("proxy", "http://u:s3cret@h"), ("proxy_allow", "a b"), ("proxy_ports", "0"), ("proxy_check_url", "ftp://h/")],
)
def test_bad_settings_of_the_proxy(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"FENSTER_{name.upper()}") as caught:
        load({}, environ={f"FENSTER_{name.upper()}": value, "FENSTER_CONFIG": "/dev/null"})
    assert "s3cret" not in str(caught.value)


def test_embedding_origins_are_origins(tmp_path: Path) -> None:
    environ = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "FENSTER_EMBED_ORIGINS": "https://a.example:443, http://b.example:81",
    }
    assert load({}, environ=environ).embed_origins == ("https://a.example", "http://b.example:81")
    with pytest.raises(ConfigError, match=r"EMBED_ORIGINS.*origin is scheme"):
        load({}, environ={**environ, "FENSTER_EMBED_ORIGINS": "https://a.example/shop"})


def test_the_edge_is_set_by_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    environ = {
        "FENSTER_PUBLIC_URL": "https://Desk.Example/",
        "FENSTER_ALLOWED_HOSTS": "Box.lan, other.lan",
        "FENSTER_TRUSTED_PROXIES": "127.0.0.1, fd00::/8",
        "FENSTER_TLS_CERT": "cert.pem",
        "FENSTER_TLS_KEY": "~/key.pem",
    }
    settings = load({}, environ=environ)
    assert settings.public_url == "https://desk.example"
    assert settings.allowed_hosts == ("box.lan", "other.lan")
    assert settings.trusted_proxies == ("127.0.0.1/32", "fd00::/8")
    assert settings.tls_cert == Path.cwd() / "cert.pem"
    assert settings.tls_key == Path.home() / "key.pem"
