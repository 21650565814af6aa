"""What a row of the table is, and what it is measured on."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .galera import Galera
from .hosts import in_process
from .postgresql import Pair


@dataclass(frozen=True)
class Result:
    """What a row measured, and whether that meets its aim; None where the row has none."""

    measured: str
    met: bool | None


@dataclass
class Clusters:
    """The clusters that the rows share; a row that damages one asks for one of its own."""

    short: bool
    _galera: Galera | None = None
    _pair: Pair | None = None

    def some(self, count: int, short: int) -> int:
        return short if self.short else count

    @property
    def galera(self) -> Galera:
        """The cluster, with the token table on every node."""
        if self._galera is None:
            self._galera = Galera()
            with in_process(self._galera.nodes[0].url, create=True):
                self._galera.wait_for("SELECT count(*) FROM access_tokens")
        return self._galera

    @property
    def pair(self) -> Pair:
        if self._pair is None:
            self._pair = Pair()
        return self._pair

    def drop_galera(self) -> None:
        """End the cluster, because it is damaged; the next row gets a new one."""
        galera, self._galera = self._galera, None
        if galera is not None:
            galera.close()

    def drop_pair(self) -> None:
        """End the pair, because it is damaged; the next row gets a new one."""
        pair, self._pair = self._pair, None
        if pair is not None:
            pair.close()

    def close(self) -> None:
        try:
            self.drop_galera()
        finally:
            self.drop_pair()

    @contextmanager
    def own_pair(self) -> Iterator[Pair]:
        """The pair, for a row that damages it."""
        try:
            yield self.pair
        finally:
            self.drop_pair()

    @contextmanager
    def own_galera(self) -> Iterator[Galera]:
        """The Galera cluster, for a row that damages it."""
        try:
            yield self.galera
        finally:
            self.drop_galera()

    def new_database(self) -> str:
        """Create a database on the pair and return its name."""
        name = f"tokens_{uuid.uuid4().hex[:8]}"
        self.pair.primary.run(f"CREATE DATABASE {name}")
        return name


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    title: str
    aim: str
    measure: Callable[[Clusters], Result]
