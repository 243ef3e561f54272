"""The ClickHouse writer under the laws of all sinks, on a fake server and on the real one."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.codec import encode
from schemas.events import Call, CrmWrite
from sinks.clickhouse.sink import open_writer as connect
from sinks.clickhouse.tables import TABLES
from sinks.clickhouse.writer import ClickHouseWriter
from sinks.sink import Batch
from streams.runtime.config import ClickHouse, Settings
from tests.contracts.sink_laws import SECRETS, SinkLaws
from tests.sinks.clickhouse.fakes import FakeClient, Record
from tests.sinks.clickhouse.fakes import batch as batch_of
from tests.support.services import ClickHouseServer

_, NUMBER, NAME = SECRETS


class TestInMemory(SinkLaws):
    @pytest.fixture
    def client(self) -> FakeClient:
        return FakeClient()

    @pytest.fixture
    def open_writer(self, client: FakeClient) -> Callable[[], ClickHouseWriter]:
        fake: Any = client
        return lambda: ClickHouseWriter(fake, {t.topic: t for t in TABLES})

    @pytest.fixture
    def batch(self) -> Batch:
        wrote = CrmWrite(tenant="acme", crm="s", call_id="main:1", state="INTENT", rev=1, at=1, written={NAME: NUMBER})
        return batch_of({1: encode(wrote), 4: encode(wrote)[:-1], 5: encode(wrote)})

    @pytest.fixture
    def refused(self) -> int:
        return 4

    @pytest.fixture
    def far_side(self, client: FakeClient) -> Callable[[], list[int]]:
        return client.offsets


@pytest.mark.integration
class TestReal(SinkLaws):
    @pytest.fixture
    def open_writer(self, clickhouse: ClickHouseServer, database: str) -> Callable[[], ClickHouseWriter]:
        password = SecretStr(clickhouse.password)
        where = ClickHouse(url=clickhouse.url, database=database, user=clickhouse.user, password=password)
        return lambda: connect(Settings(clickhouse=where))

    @pytest.fixture
    def batch(self) -> Batch:
        values = {
            offset: encode(
                Call(
                    call_id=f"main:{offset}",
                    rev=1,
                    tenant="acme",
                    pbx="main",
                    merge_key="acme/main",
                    state="final",
                    customer_number=NUMBER,
                    contact_name=NAME,
                    started_at=1_700_000_000_000_000,
                    updated_at=1_700_000_000_000_000,
                )
            )
            for offset in (3, 5, 9)
        }
        values[5] = values[5][:-30]
        messages = [Record(at=offset, body=value) for offset, value in values.items()]
        return Batch(topic="calls", partition=0, first=3, last=9, messages=messages)

    @pytest.fixture
    def refused(self) -> int:
        return 5

    @pytest.fixture
    def far_side(self, clickhouse: ClickHouseServer, database: str) -> Callable[[], list[Any]]:
        def rows() -> list[Any]:
            with clickhouse.connect(database) as client:
                return list(client.query("SELECT _offset, call_id, contact_name FROM calls ORDER BY 1").result_rows)

        return rows
