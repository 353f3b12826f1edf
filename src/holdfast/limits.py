"""What the settings mean for those who write and read. Pure."""

from holdfast.read.follow import FollowLimits
from holdfast.read.holdings import Sizes
from holdfast.read.passes import PassLimits
from holdfast.read.reader import ReaderLimits
from holdfast.settings import Settings
from holdfast.write.epoch import WriteLimits


def write_limits(settings: Settings) -> WriteLimits:
    return WriteLimits(
        seal_interval_seconds=settings.seal_interval_ms / 1000,
        heartbeat_seconds=settings.heartbeat_interval_ms / 1000,
        checkpoint_seconds=float(settings.checkpoint_interval_s),
        ack_timeout_seconds=float(settings.ack_timeout_s),
        queue_bytes_max=settings.queue_bytes_max,
        clock_error_us=settings.clock_error_ms * 1000,
    )


def reader_limits(settings: Settings) -> ReaderLimits:
    follow = FollowLimits(clock_error_us=settings.clock_error_ms * 1000)
    return ReaderLimits(
        passes=PassLimits(
            follow=follow, cache=Sizes(settings.cache_bytes_max, settings.archive_cache_bytes_max)
        ),
        interval_s=settings.follow_interval_ms / 1000,
    )
