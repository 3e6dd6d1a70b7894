import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from service.process_setup import _share_ca_certificates, configure_process
from tests.support.paths import ROOT

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def test_no_process_of_the_service_leaves_a_core_dump() -> None:
    configure_process()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    replaced = dict.fromkeys(VARIABLES, "")
    monkeypatch.setattr(os, "environ", replaced)
    return replaced


@pytest.mark.parametrize("name", VARIABLES)
def test_every_client_trusts_the_certificates_of_any_variable(environment: dict[str, str], name: str) -> None:
    environment[name] = "/own/ca.pem"
    _share_ca_certificates()
    assert environment["SSL_CERT_FILE"] == environment["REQUESTS_CA_BUNDLE"] == "/own/ca.pem"
    assert not environment.get("SSL_CERT_DIR")


def test_certificates_may_be_a_folder(environment: dict[str, str], tmp_path: Path) -> None:
    environment["REQUESTS_CA_BUNDLE"] = str(tmp_path)
    _share_ca_certificates()
    assert environment["SSL_CERT_DIR"] == environment["REQUESTS_CA_BUNDLE"] == str(tmp_path)
    assert not environment.get("SSL_CERT_FILE")


@pytest.mark.skipif(not Path("/etc/ssl/certs/ca-certificates.crt").exists(), reason="this system keeps them elsewhere")
def test_without_a_variable_it_is_the_system_s(environment: dict[str, str]) -> None:
    _share_ca_certificates()
    assert Path(environment["SSL_CERT_FILE"]).is_file()
    assert environment["SSL_CERT_FILE"] == environment["REQUESTS_CA_BUNDLE"]


def test_metrics_of_another_program_are_left_alone_in_any_order(tmp_path: Path) -> None:
    program = """
import prometheus_client  # reads the variable while it is imported
from service.app import create_app
from service.settings import Settings
create_app(Settings()).state.runtime.metrics.count_refusal("no-key")
"""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, check=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", ["", "import pydicom\n"], ids=["before pydicom", "after pydicom"])
def test_pydicom_is_configured_whenever_it_is_imported(first: str) -> None:
    program = f"""
import sys
{first}from service.process_setup import configure_process
configure_process()
assert {bool(first)} == ("pydicom" in sys.modules)  # it takes a fifth of a start, and few processes need it
from pydicom import config
assert config.settings.reading_validation_mode == config.settings.writing_validation_mode == config.IGNORE
assert not [finder for finder in sys.meta_path if type(finder).__module__ == "service.process_setup"]
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
