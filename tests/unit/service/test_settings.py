import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from service.settings import PREFIX, Settings, describe_errors

FIELDS = sorted(Settings.model_fields)


def refusal(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    return describe_errors(refused.value)


@pytest.mark.parametrize("field", [field for field in FIELDS if field != "api_keys"])
@pytest.mark.parametrize("value", ["", " ", "\t\r"])
def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{field.upper()}", value)
    assert Settings() == Settings.model_construct()


@pytest.mark.parametrize("name", ["FETAL_PLANES_API_KEYS", "fetal_planes_api_keys"])
@pytest.mark.parametrize("value", ["", "  "])
def test_empty_keys_open_nothing(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert refusal(monkeypatch, name, value).startswith(f"{name} is empty; name a file of keys, or unset it")


@pytest.mark.parametrize("value", ["INFO", "Info", " info\r", "info"])
def test_levels_have_no_case(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FETAL_PLANES_LOG_LEVEL", value)
    assert Settings().log_level == "info"


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "FETAL_PLANES_LOG_LEVEL: " in refusal(monkeypatch, "FETAL_PLANES_LOG_LEVEL", "verbose")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("FETAL_PLANES_WORKER", "FETAL_PLANES_WORKERS"),
        ("FETAL_PLANES_APIKEYS", "FETAL_PLANES_API_KEYS"),
        ("FETAL_PLANES_MAX_UPLOAD", "FETAL_PLANES_MAX_UPLOAD_BYTES"),
        ("FETAL_PLANES_LOGLEVEL", "FETAL_PLANES_LOG_LEVEL"),
        ("fetal_planes_mode", "FETAL_PLANES_MODEL"),
        ("FETAL_PLANES_CLIENT_KEYS", "FETAL_PLANES_CLIENT_KEY"),
    ],
)
def test_a_misspelled_name_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch, wrong: str, right: str) -> None:
    assert refusal(monkeypatch, wrong, "1") == f"{wrong} is not a setting; the nearest name is {right}"


@given(st.text(string.ascii_uppercase + string.digits + "_", max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_a_setting_or_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    name = f"{PREFIX}{ending}"
    known = {f"{PREFIX}{field.upper()}" for field in FIELDS} | {"FETAL_PLANES_CLIENT_KEY"}
    if name in known or "PORT" in ending or "SERVICE_HOST" in ending:
        return
    with monkeypatch.context() as context:
        assert f"{name} is not a setting; the nearest name is {PREFIX}" in refusal(context, name, "x")


@pytest.mark.parametrize("service", ["", "METRICS_", "GRAFANA_V2_"])
def test_variables_that_kubernetes_sets_for_services_change_nothing(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    address = "tcp://192.0.2.1:8000"
    variables = {"SERVICE_HOST": "192.0.2.1", "SERVICE_PORT": "8000", "SERVICE_PORT_HTTP": "8000", "PORT": address}
    for protocol in ("TCP", "UDP", "SCTP"):
        port = f"PORT_8000_{protocol}"
        variables |= {port: address, f"{port}_PROTO": "tcp", f"{port}_PORT": "8000", f"{port}_ADDR": "192.0.2.1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"{PREFIX}{service}{name}", value)
    assert Settings() == Settings.model_construct()


@pytest.mark.parametrize("field", ["deadline_s", "upload_s", "drain_s", "load_s"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1", "86401"])
def test_times_are_finite(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    """With an endless drain, SIGTERM would never end the service."""
    assert f"{PREFIX}{field.upper()}: " in refusal(monkeypatch, f"{PREFIX}{field.upper()}", value)


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [
        ("FETAL_PLANES_CORS_ORIGINS", "viewer", "such as `https://viewer.example`"),
        ("FETAL_PLANES_ROOT_PATH", "ai fetal", "such as `/ai/fetal`"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, example: str
) -> None:
    message = refusal(monkeypatch, name, value)
    assert message.startswith(f"{name}: {value!r} is not of the right form: ")
    assert example in message
    assert "\\" not in message
