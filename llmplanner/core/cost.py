"""What a run costs in money and energy, and which of the limits on GPUs, time and money binds."""

from dataclasses import dataclass
from typing import Literal

from llmplanner.core.duration import SECONDS_PER_DAY, SECONDS_PER_HOUR, days, device_hours, devices_for_days
from llmplanner.core.flops import Number

LimitName = Literal["hardware", "time", "money"]


def money(hours: Number, price: Number) -> Number:
    """Device-hours at a price per device-hour."""
    return hours * price


def energy(hours: Number, watts: Number, pue: Number) -> Number:
    """Kilowatt-hours: device-hours x the device's power x the data centre's power usage effectiveness.

    Source: Touvron et al. 2023 (arXiv:2302.13971) s6 (400 W, PUE 1.1). Hosts and network are left out.
    """
    return hours * watts * pue / 1000.0


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: what is to be computed, and on what."""

    flops: float
    devices: int
    peak: float  # dense FLOP/s of one device
    efficiency: float
    price: float | None  # per device-hour; None: not known

    @property
    def hours(self) -> float:
        """Device-hours."""
        return float(device_hours(self.flops, self.peak, self.efficiency))

    @property
    def days(self) -> float:
        """Days from start to end."""
        return float(days(self.flops, self.devices, self.peak, self.efficiency))

    @property
    def cost(self) -> float | None:
        """Money for all device-hours."""
        return None if self.price is None else float(money(self.hours, self.price))

    def flops_in(self, hours: float) -> float:
        """Operations that `hours` device-hours buy."""
        return hours * SECONDS_PER_HOUR * self.peak * self.efficiency


@dataclass(frozen=True, slots=True)
class Limits:
    """What is at hand. None: no limit."""

    devices: int | None = None
    days: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of one limit the run takes."""

    name: LimitName
    needed: float
    limit: float
    flops: float | None  # the largest run that this limit allows; None: it sets none by itself

    @property
    def share(self) -> float:
        """Needed over limit; over 1 the limit is broken. A limit of nothing is broken by anything needed."""
        if not self.limit:
            return float("inf") if self.needed else 0.0
        return self.needed / self.limit


def limit_uses(run: Run, limits: Limits) -> tuple[LimitUse, ...]:
    """The limits that are set, in the order hardware, time, money.

    Hardware allows what all its devices do within the time limit; time, what the run's own devices do in it.
    Money is left out where no price is known.
    """
    uses: list[LimitUse] = []
    day = SECONDS_PER_DAY / SECONDS_PER_HOUR
    if limits.devices is not None:
        room = None if limits.days is None else run.flops_in(limits.devices * limits.days * day)
        uses.append(LimitUse("hardware", run.devices, limits.devices, room))
    if limits.days is not None:
        uses.append(LimitUse("time", run.days, limits.days, run.flops_in(run.devices * limits.days * day)))
    if limits.cost is not None and run.price is not None:
        room = run.flops_in(limits.cost / run.price) if run.price else None
        uses.append(LimitUse("money", run.hours * run.price, limits.cost, room))
    return tuple(uses)


def binding_limit(uses: tuple[LimitUse, ...]) -> LimitUse | None:
    """The limit that is used most; the first of equals. None where no limit is set."""
    return max(uses, key=lambda use: use.share, default=None)


def devices_to_meet(run: Run, limit_days: float) -> int:
    """The fewest devices with which the run would end within `limit_days`. The money stays the same."""
    return int(devices_for_days(run.flops, limit_days, run.peak, run.efficiency))
