"""The examples in docs/deploying.md can be read, and name settings and options that there are."""

from __future__ import annotations

import configparser
import re
from dataclasses import fields
from pathlib import Path

import yaml

from livetask.settings import Settings

TEXT = Path("docs/deploying.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def _blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCKS if found == kind]


def test_every_setting_that_the_examples_name_is_one() -> None:
    named = set(re.findall(r"LIVETASK_([A-Z0-9_]+)", TEXT))
    assert named
    assert {name.lower() for name in named} <= {field.name for field in fields(Settings)}


def test_the_services_are_yaml_that_names_volumes_and_services_that_there_are() -> None:
    (text,) = _blocks("yaml")
    found = yaml.safe_load(text)
    for service in found["services"].values():
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(found["volumes"])
        assert set(service.get("depends_on", [])) <= set(found["services"])
    assert found["services"]["web"]["environment"]["LIVETASK_REDIS_URL"] == "redis://redis:6379/0"


def test_proxies_pass_on_the_name_with_its_port() -> None:
    """nginx' ``$host`` is without: on another port than 443 every login was then refused as a foreign page's."""
    for page in ("behind-a-proxy.md", "scaling.md"):
        named = re.findall(r"proxy_set_header Host (\S+);", Path("docs", page).read_text("utf-8"))
        assert named == ["$http_host"], page


def test_the_units_are_units() -> None:
    for text in _blocks("ini"):
        unit = configparser.RawConfigParser(strict=False)
        unit.read_string(text)
        assert {"Unit", "Service", "Install"} == set(unit.sections())
        assert unit["Service"]["ExecStart"].startswith("/srv/proj/.venv/bin/celery -A proj ")
