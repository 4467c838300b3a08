"""TLS and SCRAM against a real listener: what works, and what each mistake says."""

import pytest

from tests.support.broker import PASSWORD, USERNAME
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed


@pytest.fixture
def secure(own_broker):
    """Client settings that are right for the TLS + SCRAM listener."""
    return {
        "bootstrap_servers": own_broker.secure_bootstrap,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USERNAME,
        "sasl_password": PASSWORD,
        "ssl_cafile": str(own_broker.certificates.authority),
        "startup_timeout": "15s",
    }


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_job_runs_over_tls_with_scram(make_job, secure, mechanism):
    job = make_job(settings={"kafka": {**secure, "sasl_mechanism": mechanism}})
    sent = readings(500)
    job.produce(sent)

    service = job.start()
    outputs = job.outputs(500)
    service.stop()

    assert parsed(outputs) == parsed(expected_outputs(sent, ALPHA))
    assert PASSWORD not in service.log


def test_no_log_level_shows_the_password(make_job, secure):
    job = make_job(settings={"kafka": secure, "log": {"level": "DEBUG"}})
    job.produce(readings(10))

    service = job.start()
    job.outputs(10)
    service.stop()

    assert PASSWORD not in service.log


def test_a_wrong_password_is_one_clear_line(make_job, secure):
    line = refusal(make_job, {**secure, "sasl_password": "guess"})

    assert "authentication failed" in line
    assert USERNAME in line
    assert "guess" not in line


def test_an_unknown_user_is_one_clear_line(make_job, secure):
    assert "authentication failed" in refusal(make_job, {**secure, "sasl_username": "nobody"})


def test_an_authority_that_did_not_sign_is_one_clear_line(make_job, secure, own_broker):
    stranger = str(own_broker.certificates.stranger)

    line = refusal(make_job, {**secure, "ssl_cafile": stranger})

    assert "ssl_cafile" in line
    assert stranger in line


def test_a_wrong_host_name_is_one_clear_line(make_job, secure, own_broker):
    line = refusal(make_job, {**secure, "bootstrap_servers": own_broker.wrong_name_bootstrap})

    assert "certificate" in line
    assert own_broker.wrong_name_bootstrap in line
    assert "host" in line


def test_tls_spoken_to_a_plain_listener_is_one_clear_line(make_job, secure, own_broker):
    line = refusal(
        make_job,
        {**secure, "bootstrap_servers": own_broker.bootstrap, "startup_timeout": "2s"},
        codes={69, 77},
    )

    assert own_broker.bootstrap in line


def test_plain_text_spoken_to_a_tls_listener_is_one_clear_line(make_job, own_broker):
    line = refusal(
        make_job,
        {"bootstrap_servers": own_broker.secure_bootstrap, "startup_timeout": "2s"},
        codes={69, 77},
    )

    assert "security_protocol" in line


def test_an_authority_file_that_is_not_there_is_one_clear_line(make_job, secure, tmp_path):
    missing = str(tmp_path / "absent.pem")

    service = make_job(settings={"kafka": {**secure, "ssl_cafile": missing}}).launch()

    assert service.wait_exit() == 78
    (line,) = service.log.splitlines()
    assert "kafka.ssl_cafile" in line
    assert missing in line


def refusal(make_job, kafka, codes=frozenset({77})):
    """Start a job with these client settings and return the one line that says why it ended."""
    service = make_job(settings={"kafka": kafka}).launch()
    code = service.wait_exit()
    (line,) = service.complaints
    assert code in codes, service.log
    return line
