"""What errors of Kafka mean, and how clients are set up."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from pydantic import SecretStr

from streams.runtime import kafka
from streams.runtime.config import Kafka
from streams.runtime.errors import Fatal, Retry

MENDED = [
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._FENCED,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.NOT_COORDINATOR,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
]
FOR_A_PERSON = [
    KafkaError._AUTHENTICATION,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_VERSION,
]


@pytest.mark.parametrize("code", MENDED)
def test_what_a_new_session_mends_is_retried(code: int) -> None:
    """A broker that is away, a rebalance, a fenced producer: begin anew from what was committed."""
    error = kafka.mapped(KafkaException(KafkaError(code)), "committing")
    assert isinstance(error, Retry)
    assert str(error).startswith("Kafka: committing: ")


@pytest.mark.parametrize("code", FOR_A_PERSON)
def test_what_a_person_must_mend_is_fatal(code: int) -> None:
    """Rights and versions do not change by waiting."""
    assert isinstance(kafka.mapped(KafkaError(code), "committing"), Fatal)


def test_the_text_of_an_error_decides_nothing() -> None:
    """Only the code does: the text is another program's, and changes."""
    assert isinstance(kafka.mapped(KafkaError(KafkaError._TRANSPORT, "authentication failed"), "reading"), Retry)


def test_a_broker_that_refuses_us_is_fatal_to_the_caller() -> None:
    """The client would try for ever; whoever polls it is told."""
    with pytest.raises(Fatal):
        kafka._trouble(KafkaError(KafkaError._AUTHENTICATION))
    kafka._trouble(KafkaError(KafkaError._ALL_BROKERS_DOWN))


def test_security_settings_reach_the_client() -> None:
    """SASL and CA of the configuration are given to every client; a set-up without them has none."""
    secured = kafka._common(
        Kafka(
            bootstrap="broker:9093",
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="trunkline",
            sasl_password=SecretStr("hush"),
            ca_file="/ca.pem",
        )
    )
    assert secured["bootstrap.servers"] == "broker:9093"
    assert secured["security.protocol"] == "SASL_SSL"
    assert secured["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (secured["sasl.username"], secured["sasl.password"]) == ("trunkline", "hush")
    assert secured["ssl.ca.location"] == "/ca.pem"
    assert not {name for name in kafka._common(Kafka()) if name.startswith(("sasl", "ssl"))}


def test_an_empty_bootstrap_means_the_embedded_broker() -> None:
    """It listens on the loopback, at the configured port."""
    assert kafka._common(Kafka(port=9999))["bootstrap.servers"] == "127.0.0.1:9999"
