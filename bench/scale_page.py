"""`python -m bench.scale_page`: docs/SCALE.md, of the kept figures and the price file."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import costs, results
from bench.costs import Measured, Price, Requests
from bench.page import markdown
from bench.report import Table, median, spread
from bench.results import RESULTS, Result
from bench.scale import NAME

TEXT: Final = Path(__file__).with_name("scale_page.md")
YEARS: Final = TEXT.with_name("scale_years.md")
PAGE: Final = Path(__file__).parent.parent / "docs" / "SCALE.md"
INGEST_CPU: Final = "batches: CPU an event until it is found"
Trail = dict[str, Any]


def page(kept: Mapping[str, Result], prices: Mapping[str, Price]) -> str:
    """The whole page."""
    data = kept[NAME].part.data
    found = measured(data, kept["ingest"])
    tables = {
        "segments": _segments(data["trails"]),
        "passes": _passes(data["trails"]),
        "keeping": _keeping(data["trails"]),
        "searches": _searches(data["trails"]),
        "nodes": _nodes(data["nodes"]),
        "regions": _regions(data["regions"]),
        "idle": costs.idle_table(found, prices),
        "old": costs.old_table(_survey_mib(data["trails"]), prices["aws"]),
        "objects": costs.objects_table(),
        "million": costs.million_table(found, prices),
        "storage": costs.storage_table(found, prices),
        "large": costs.large_table(found, prices["aws"]),
        "prices": costs.price_table(prices),
    }
    return TEXT.read_text("utf-8").format(
        **{name: markdown(table) for name, table in tables.items()},
        **_figures(data, found, prices),
        years=_years(kept, prices),
        around=", ".join(f"{key} {value}" for key, value in kept[NAME].surroundings.items()),
        minutes=f"{kept[NAME].took_s / 60:.0f}",
        ingest=", ".join(kept["ingest"].surroundings[key] for key in ("when", "commit", "cpu")),
    )


def _years(kept: Mapping[str, Result], prices: Mapping[str, Price]) -> str:
    """The chapter on years, once archiving and reading them was measured."""
    if not {"archive", "years"} <= kept.keys():
        return ""
    archive, years = kept["archive"], kept["years"]
    sizes = {}
    for events, several in archive.part.data["archived"].items():
        one = several[0]
        bytes_of = (one[name] for name in ("segment_bytes", "part_bytes", "evidence_bytes"))
        rate = int(events) * 1000 // costs.SEAL_DEFAULT_MS
        in_segments, in_parts, as_evidence = (each / one["events"] for each in bytes_of)
        sizes[rate] = (in_segments, in_parts, as_evidence)
    table = markdown(costs.year_table(sizes, prices["aws"]))
    return YEARS.read_text("utf-8").format(
        table=table,
        around=_when(archive),
        reading=markdown(years.part.tables[0]),
        read_around=_when(years),
    )


def _when(result: Result) -> str:
    return ", ".join(result.surroundings[key] for key in ("when", "commit"))


def measured(data: Mapping[str, Any], ingest: Result) -> Measured:
    """What the formulas need, out of all samples."""
    acks = [each for each in data["regions"] if each["regions"] == costs.REGIONS]
    whole = max(data["trails"], key=_events)
    cpu = next(f.value for f in ingest.part.findings if f.name == INGEST_CPU)
    return Measured(
        segment=_requests([each["ack"] for each in acks]),
        beat=_requests([each["beat"] for each in acks]),
        look=_by_nodes(data["nodes"], lambda each: each["follow"]["idle"]),
        survey=_by_nodes(data["nodes"], lambda each: each["keep"]["newest"]),
        segment_bytes=_segment_bytes(data["trails"]),
        ack_read_bytes=median([each["ack"]["read_bytes"] for each in acks]),
        ingest_cpu_us=cpu or 0.0,
        follow_cpu_us=whole["follow"]["start"]["cpu_s"] / _events(whole) * costs.MILLION,
    )


def _requests(samples: Sequence[Mapping[str, float]]) -> Requests:
    """Whole numbers: a heartbeat more or less at the edge of a measurement is no fraction."""
    return Requests(*(round(_of(samples, name)) for name in ("puts", "lists", "gets")))


def _by_nodes(
    trails: Sequence[Trail], samples: Callable[[Trail], Sequence[Mapping[str, float]]]
) -> tuple[Requests, Requests]:
    """A fixed part, and one for each node: the line through the fewest and the most nodes."""
    few, many = (_requests(samples(each)) for each in (trails[0], trails[-1]))
    nodes = trails[0]["shape"]["nodes"], trails[-1]["shape"]["nodes"]
    each = (many + few.times(-1)).times(1 / (nodes[1] - nodes[0]))
    return few + each.times(-nodes[0]), each


def _segment_bytes(trails: Sequence[Trail]) -> tuple[float, float]:
    """Of a segment: a fixed part, and one for each event."""
    sizes = {
        each["shape"]["events"]: each["stored_bytes"] / each["shape"]["segments"] for each in trails
    }
    few, many = min(sizes), max(sizes)
    each = (sizes[many] - sizes[few]) / (many - few)
    return sizes[few] - few * each, each


def _events(trail: Trail) -> int:
    return int(trail["shape"]["segments"] * trail["shape"]["events"])


def _of(samples: Sequence[Mapping[str, float]], name: str) -> float:
    return median([sample[name] for sample in samples])


def _ms(samples: Sequence[Mapping[str, float]], name: str = "s") -> str:
    return spread([1000 * sample[name] for sample in samples])


def _size(trail: Trail) -> tuple[str, str]:
    return f"{trail['shape']['segments']:,}", f"{_events(trail):,}"


# -- measured tables -------------------------------------------------------------------------------


def _segments(trails: Sequence[Trail]) -> Table:
    head = (
        *("segments", "events", "MB in a region", "start: s", "CPU s"),
        *("CPU ms a segment", "CPU µs an event", "LIST", "GET", "MiB: reader", "folding"),
    )
    rows = []
    for each in trails:
        start, segments = each["follow"]["start"], each["shape"]["segments"]
        rows.append(
            (
                *(*_size(each), f"{each['stored_bytes'] / 1e6:,.0f}"),
                *(f"{start['s']:,.1f}", f"{start['cpu_s']:,.1f}"),
                f"{1000 * start['cpu_s'] / segments:.2f}",
                f"{costs.MILLION * start['cpu_s'] / _events(each):.0f}",
                *(f"{start['lists']:,.0f}", f"{start['gets']:,.0f}"),
                *(f"{start['main_mib']:,.0f}", f"{start['fold_mib']:,.0f}"),
            )
        )
    return Table("", head, tuple(rows))


def _passes(trails: Sequence[Trail]) -> Table:
    head = (
        *("segments", "events", "pass without news: ms", "LIST", "GET"),
        *("with 10 segments: ms", "LIST", "GET", "judgement: µs"),
        *("with part of a round: ms", "LIST", "start with its cache: ms"),
    )
    rows = []
    for each in trails:
        follow, whole = each["follow"], each["whole"]
        idle, news = follow["idle"], follow["news"]
        rows.append(
            (
                *(*_size(each), _ms(idle)),
                *(f"{_of(idle, 'lists'):.0f}", f"{_of(idle, 'gets'):.0f}", _ms(news)),
                *(f"{_of(news, 'lists'):.0f}", f"{_of(news, 'gets'):.1f}"),
                f"{median(follow['judge_s']) * 1e6:.0f}",
                *(f"{1000 * whole['s']:.0f}", f"{whole['lists']:,.0f}"),
                f"{1000 * each['ask']['again']['s']:.0f}",
            )
        )
    return Table("", head, tuple(rows))


def _keeping(trails: Sequence[Trail]) -> Table:
    head = (
        *("segments", "events", "survey of all: s", "CPU s", "LIST"),
        *("MiB more than before", "of the newest: ms", "LIST", "GET"),
    )
    rows = []
    for each in trails:
        keep = each["keep"]
        whole, newest = keep["whole"], keep["newest"]
        rows.append(
            (
                *(*_size(each), f"{whole['s']:.2f}", f"{whole['cpu_s']:.2f}"),
                f"{whole['lists']:,.0f}",
                f"{whole['main_mib'] - keep['before_mib']:,.0f}",
                *(_ms(newest), f"{_of(newest, 'lists'):.0f}", f"{_of(newest, 'gets'):.0f}"),
            )
        )
    return Table("", head, tuple(rows))


def _searches(trails: Sequence[Trail]) -> Table:
    head = (
        *("segments", "events", "newest 100 of a tenant: ms", "of an actor: ms"),
        *("count by action: ms", "MiB: reader", "searching"),
    )
    rows = []
    for each in trails:
        ask = each["ask"]
        asked = (_ms(ask["search"][name]) for name in ("tenant", "actor", "count"))
        memory = (f"{ask['memory'][name]:,.0f}" for name in ("main_mib", "search_mib"))
        rows.append((*_size(each), *asked, *memory))
    return Table("", head, tuple(rows))


def _nodes(trails: Sequence[Trail]) -> Table:
    head = (
        *("nodes", "pass without news: ms", "CPU ms", "LIST", "GET, of heartbeats too"),
        *("with a segment or more a node: ms", "GET", "judgement: µs"),
        *("survey of the newest: ms", "LIST", "GET"),
    )
    rows = []
    for each in trails:
        follow, newest = each["follow"], each["keep"]["newest"]
        idle, news = follow["idle"], follow["news"]
        rows.append(
            (
                *(f"{each['shape']['nodes']}", _ms(idle), _ms(idle, "cpu_s")),
                *(f"{_of(idle, 'lists'):.0f}", f"{_of(idle, 'gets'):.0f}"),
                *(_ms(news), f"{_of(news, 'gets'):.1f}"),
                f"{median(follow['judge_s']) * 1e6:.0f}",
                *(_ms(newest), f"{_of(newest, 'lists'):.0f}", f"{_of(newest, 'gets'):.0f}"),
            )
        )
    return Table("", head, tuple(rows))


def _regions(acks: Sequence[Trail]) -> Table:
    head = (
        *("regions", "must hold it", "ack: ms", "CPU ms an ack"),
        *("PUT in a region", "GET", "bytes into all", "bytes out of all"),
    )
    rows = []
    for count in sorted({each["regions"] for each in acks}):
        rounds = [each for each in acks if each["regions"] == count]
        asked = [each["ack"] for each in rounds]
        taken = [1000 * median(each["ack_s"]) for each in rounds]
        rows.append(
            (
                *(f"{count}", f"{rounds[0]['quorum']}", spread(taken), _ms(rounds, "cpu_s")),
                *(f"{_of(asked, 'puts'):.2f}", f"{_of(asked, 'gets'):.2f}"),
                f"{count * _of(asked, 'written_bytes'):,.0f}",
                f"{count * _of(asked, 'read_bytes'):,.0f}",
            )
        )
    return Table("", head, tuple(rows))


# -- what the text tells ---------------------------------------------------------------------------


def _figures(
    data: Mapping[str, Any], found: Measured, prices: Mapping[str, Price]
) -> dict[str, str]:
    """Every number in the text that no table has."""
    aws = prices["aws"]
    day = costs.idle_day(found, 1, 1)
    lists = Requests(lists=day.lists).dollars(aws) / day.dollars(aws)
    largest = max(data["trails"], key=_events)
    survey_mib = _survey_mib(data["trails"])

    def million(seal_ms: int, rate: int = 1_000) -> str:
        return f"{costs.million_events(found, aws, rate, seal_ms):.2f}"

    def idle(nodes: int, readers: int, follow_s: float = costs.FOLLOW_S) -> str:
        return f"{costs.idle_month(found, aws, nodes, readers, follow_s):,.0f}"

    return {
        "idle_1": idle(1, 1),
        "idle_1_slow": idle(1, 1, 60.0),
        "idle_10": idle(10, 10),
        "idle_50": idle(50, 50),
        "idle_50_one": idle(50, 1),
        "list_part": f"{lists:.0%}",
        "million_50": million(50),
        "million_250": million(250),
        "million_5000": million(5_000),
        "million_100": million(250, 100),
        "ingest_us": f"{found.ingest_cpu_us:.1f}",
        "follow_us": f"{found.follow_cpu_us:.0f}",
        "follow_rate": f"{costs.MILLION / found.follow_cpu_us:,.0f}",
        "writer_rate": f"{costs.LOAD * costs.MILLION / found.ingest_cpu_us:,.0f}",
        "look": _said(found.look),
        "survey": _said(found.survey),
        "segment": f"{found.segment.puts:.0f} PUT and {found.segment.gets:.0f} GET",
        "beat": f"{found.beat.puts:.0f} PUT and {found.beat.gets:.0f} GET",
        "segment_fixed": f"{found.segment_bytes[0]:,.0f}",
        "segment_each": f"{found.segment_bytes[1]:,.0f}",
        "idle_sealed": f"{max(each['beat']['segments'] for each in data['regions'])}",
        "segments_day": f"{costs.DAY_S * 1000 // costs.SEAL_DEFAULT_MS:,}",
        "survey_mib": f"{survey_mib:,.0f}",
        "survey_days": f"{costs.MILLION / (costs.DAY_S * 1000 / costs.SEAL_DEFAULT_MS):.0f}",
        "largest_mib": f"{largest['follow']['start']['main_mib']:,.0f}",
        "again_mib": f"{largest['ask']['memory']['main_mib']:,.0f}",
        "largest_events": f"{_events(largest):,}",
        "largest_start": f"{largest['follow']['start']['s'] / 60:.1f}",
        "largest_idle": f"{1000 * _of(largest['follow']['idle'], 's'):.0f}",
        "least_idle": f"{1000 * _of(data['trails'][0]['follow']['idle'], 's'):.0f}",
    }


def _survey_mib(trails: Sequence[Trail]) -> float:
    """Memory that a survey of everything needs for a million segments."""
    most = max(trails, key=lambda each: int(each["shape"]["segments"]))
    more: float = most["keep"]["whole"]["main_mib"] - most["keep"]["before_mib"]
    return more / int(most["shape"]["segments"]) * costs.MILLION


def _said(parts: tuple[Requests, Requests]) -> str:
    fixed, each = parts
    return (
        f"{fixed.lists:.0f} + {each.lists:.0f} n LIST and {fixed.gets:.0f} + {each.gets:.0f} n GET"
    )


def main() -> int:
    PAGE.write_text(page(results.read(RESULTS), costs.read_prices()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
