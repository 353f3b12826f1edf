"""The catalog's tables. A change of any of them needs another version."""

VERSION = 5

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE nodes (
    n INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE,
    settled INTEGER NOT NULL DEFAULT 0, settled_first INTEGER NOT NULL DEFAULT 0,
    settled_epoch INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0, lost_events INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0, archived_first INTEGER NOT NULL DEFAULT 0);
CREATE TABLE units (unit TEXT PRIMARY KEY, facts BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
    n INTEGER NOT NULL, idx INTEGER NOT NULL, epoch INTEGER NOT NULL,
    first INTEGER NOT NULL, count INTEGER NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL,
    time_min INTEGER NOT NULL, time_max INTEGER NOT NULL,
    received_min INTEGER NOT NULL, received_max INTEGER NOT NULL,
    tenants TEXT NOT NULL, fold INTEGER, matched INTEGER NOT NULL,
    pack INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (n, idx, epoch)) WITHOUT ROWID;
CREATE INDEX segments_hot ON segments (n, idx) WHERE fold IS NULL;
CREATE INDEX segments_fold ON segments (fold) WHERE fold IS NOT NULL;
CREATE INDEX segments_unmatched ON segments (n, idx) WHERE matched = 0;
CREATE INDEX segments_first ON segments (n, first);
CREATE TRIGGER segments_late AFTER INSERT ON segments
    WHEN EXISTS (SELECT 1 FROM nodes WHERE n = NEW.n AND archived <= NEW.idx AND NEW.idx < settled)
    BEGIN UPDATE nodes SET lost = lost - 1, lost_events = lost_events - NEW.count
        WHERE n = NEW.n; END;
CREATE TABLE folds (id INTEGER PRIMARY KEY, facts BLOB NOT NULL);
CREATE TABLE copies (
    n INTEGER NOT NULL, position INTEGER NOT NULL, name BLOB NOT NULL,
    received INTEGER NOT NULL, content BLOB NOT NULL, standing INTEGER NOT NULL,
    PRIMARY KEY (n, position)) WITHOUT ROWID;
CREATE INDEX copies_name ON copies (name);
CREATE TABLE statements (
    region TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (region, key)) WITHOUT ROWID;
CREATE TABLE regions (region TEXT PRIMARY KEY, facts BLOB NOT NULL) WITHOUT ROWID;
"""

SEGMENT_COLUMNS = (
    "node, idx, epoch, first, count, name, bytes, time_min, time_max, received_min,"
    " received_max, tenants, fold, matched, pack, offset"
)
