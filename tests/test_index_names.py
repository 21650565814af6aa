"""The names of the indexes that the extension adds to a table of the host's own."""

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from flask_access_tokens import AccessTokenMixin


def test_an_index_of_the_host_s_own_on_other_columns_keeps_its_name() -> None:
    class Base(DeclarativeBase):
        metadata = sa.MetaData()

    class ApiToken(AccessTokenMixin, Base):
        __tablename__ = "api_tokens"
        __table_args__ = (sa.Index("ix_api_tokens_created_at", "owner_id", "created_at"),)

    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    stored = {index["name"]: index["column_names"] for index in sa.inspect(engine).get_indexes("api_tokens")}
    assert stored["ix_api_tokens_created_at"] == ["owner_id", "created_at"]
    assert stored["ix_api_tokens_created_at_of_list"] == ["created_at", "id", "expires_at", "last_used_at"]
