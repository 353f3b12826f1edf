"""The metadata of an Iceberg table over a region's parts, by pyiceberg. Runs in a worker.

Files are given by name and given back, for whoever asked to put them where they belong. The parts
stay where and as they are: their columns are found by name, and `day` and `class`, which their
paths alone tell, are the partition that each is entered under. An engine fills in from there what
a file lacks (Iceberg's specification, "Column Projection").
"""

from collections.abc import Iterable, Mapping
from datetime import date
from io import BytesIO
from typing import NoReturn

import pyarrow as pa
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import TableRequirement, TableUpdate, update_table_metadata
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DateType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from holdfast.archive.lake import Commit
from holdfast.archive.parts import LAKE
from holdfast.regions.layout import ArchivedKey, known_key

SNAPSHOTS_MAX = 100  # older ones are no longer listed: the metadata would grow with every run
_SPEC_ID = 0
_TYPES: Mapping[pa.DataType, IcebergType] = {
    pa.int32(): IntegerType(),
    pa.int64(): LongType(),
    pa.string(): StringType(),
    pa.timestamp("us", "UTC"): TimestamptzType(),
}


def commit(job: Commit) -> dict[str, bytes]:
    """One snapshot that has these parts and no others.

    Returns:
        The files to put, by name, in this order; the last one is the version.
    """
    files = _Files(job.location, job.files)
    wanted = {f"{job.data}/{key}": (key, *facts) for key, facts in job.parts.items()}
    table, held = _opened(job, files)
    added = [_entry(path, *facts) for path, facts in wanted.items() if path not in held]
    gone = [entry for path, entry in held.items() if path not in wanted]
    with table.transaction() as changing:
        update = changing.update_snapshot()
        with update.overwrite() if gone else update.merge_append() as snapshot:
            for entry in added:
                snapshot.append_data_file(entry)
            for entry in gone:
                snapshot.delete_data_file(entry)
    old = sorted(table.snapshots(), key=lambda each: each.sequence_number or 0)[:-SNAPSHOTS_MAX]
    if old:
        table.maintenance.expire_snapshots().by_ids([each.snapshot_id for each in old]).commit()
    names = " ".join(sorted(_needed(table, files)))
    with table.transaction() as changing:
        changing.set_properties({"holdfast.parts": job.mark, "holdfast.files": names})
    made = {name: files.held[name] for name in files.made}
    metadata = table.metadata.model_dump_json(exclude_none=True).encode()
    return made | {f"v{job.number}.metadata.json": metadata}


def schema() -> Schema:
    """The columns of parts, and those that their paths tell."""
    fields = []
    for number, field in enumerate(LAKE, 1):
        listed = ListType(len(LAKE) + 3, StringType(), element_required=False)
        kind = _TYPES.get(field.type, listed)
        fields.append(NestedField(number, field.name, kind, required=False))
    day = NestedField(len(LAKE) + 1, "day", DateType(), required=False)
    retention = NestedField(len(LAKE) + 2, "class", StringType(), required=False)
    return Schema(*fields, day, retention)


def _opened(job: Commit, files: "_Files") -> tuple[Table, dict[str, DataFile]]:
    """The table as it is, with its entries by path; a new one where that cannot be read, or is
    that of another place."""
    try:
        metadata = TableMetadataUtil.parse_raw(job.metadata.decode())
        if (metadata.location, metadata.schema()) == (job.location, schema()):
            table = _table(metadata, files)
            tasks = table.scan().plan_files()
            return table, {task.file.file_path: task.file for task in tasks}
    except Exception:  # noqa: S110 - pyiceberg raises anything; all of it can be made again
        pass
    return _table(_anew(job.location), files), {}


def _anew(location: str) -> TableMetadata:
    columns = schema()
    spec = PartitionSpec(
        *(
            PartitionField(columns.find_field(name).field_id, 1000 + at, IdentityTransform(), name)
            for at, name in enumerate(("day", "class"))
        ),
        spec_id=_SPEC_ID,
    )
    told = {"schema.name-mapping.default": columns.name_mapping.model_dump_json()}
    return new_table_metadata(columns, spec, UNSORTED_SORT_ORDER, location, told)


def _table(metadata: TableMetadata, files: "_Files") -> Table:
    return Table(("events",), metadata, metadata.location, files, _Memory("holdfast"))


def _entry(path: str, key: str, size_bytes: int, rows: int) -> DataFile:
    parsed = known_key(key)
    assert isinstance(parsed, ArchivedKey), "only parts are entered"
    days = date.fromisoformat(parsed.day).toordinal() - date(1970, 1, 1).toordinal()
    entry = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(days, parsed.retention),
        record_count=rows,
        file_size_in_bytes=size_bytes,
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds={},
        upper_bounds={},
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=None,
    )
    entry.spec_id = _SPEC_ID
    return entry


def _needed(table: Table, files: "_Files") -> Iterable[str]:
    """The names of what the newest snapshot consists of."""
    snapshot = table.current_snapshot()
    assert snapshot is not None, "one was just made"
    yield files.name_of(snapshot.manifest_list)
    for manifest in snapshot.manifests(files):
        yield files.name_of(manifest.manifest_path)


class _Memory(NoopCatalog):
    """Applies changes to a table, and leaves it to others to store them."""

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        for each in requirements:
            each.validate(table.metadata)
        metadata = update_table_metadata(table.metadata, updates)
        return CommitTableResponse.model_construct(
            metadata=metadata, metadata_location=table.metadata_location
        )


class _Files(FileIO):
    """Files of a table, in memory. held: by name; made: the names of those that are new."""

    def __init__(self, location: str, held: Mapping[str, bytes]) -> None:
        super().__init__()
        self._prefix = f"{location}/metadata/"
        self.held = dict(held)
        self.made: list[str] = []

    def name_of(self, location: str) -> str:
        return location.removeprefix(self._prefix)

    def new_input(self, location: str) -> "_File":
        return _File(location, self)

    def new_output(self, location: str) -> "_File":
        return _File(location, self)

    def delete(self, location: str | InputFile | OutputFile) -> NoReturn:
        raise AssertionError("nothing is deleted while a table is written")


class _File(InputFile, OutputFile):
    """One of them."""

    def __init__(self, location: str, files: _Files) -> None:
        super().__init__(location)
        self._files = files
        self._name = files.name_of(location)

    def __len__(self) -> int:
        return len(self._files.held[self._name])

    def exists(self) -> bool:
        return self._name in self._files.held

    def open(self, seekable: bool = True) -> InputStream:
        return BytesIO(self._files.held[self._name])

    def to_input_file(self) -> InputFile:
        return self

    def create(self, overwrite: bool = False) -> OutputStream:
        return _Written(self._files, self._name)


class _Written(BytesIO):
    """Is held once it is closed."""

    def __init__(self, files: _Files, name: str) -> None:
        super().__init__()
        self._files = files
        self._name = name

    def close(self) -> None:
        if not self.closed:
            self._files.held[self._name] = self.getvalue()
            self._files.made.append(self._name)
        super().close()
