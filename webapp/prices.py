"""What tokens cost, by the owner's own price list. No price is known here, and none is invented.

The list is a small JSON file, which the setting PRICES names; docs/prices.example.json shows its form.
"""

import json
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from .tokens import Counts

SIGNS = {"USD": "$", "CNY": "¥"}
SMALLEST = Decimal("0.0001")
TOP = ("currency", "per", "models")


class PricesError(ValueError):
    """The price list cannot be used; the text says what is wrong in it and where."""


class Price(NamedTuple):
    """What a model costs: for `per` tokens, and for each image."""

    input: Decimal | None = None
    cached_input: Decimal | None = None
    output: Decimal | None = None
    image: Decimal | None = None


class Prices:
    """A price list; an empty one knows no price."""

    def __init__(self, models: dict[str, Price] | None = None, currency: str = "USD", per: int = 1_000_000):
        self.models = models or {}
        self.currency = currency
        self.per = per

    def __bool__(self) -> bool:
        return bool(self.models)

    def of(self, model: str) -> Price | None:
        """Return a model's price: by its whole name, else by the longest beginning that ends in `*`."""
        if model in self.models:
            return self.models[model]
        beginnings = [name for name in self.models if name.endswith("*") and model.startswith(name[:-1])]
        return self.models[max(beginnings, key=len)] if beginnings else None

    def cost(self, model: str, counts: Counts, pictures: int = 0) -> Decimal | None:
        """Return what an answer cost; None where a price or a count that it takes is not known."""
        price = self.of(model)
        if price is None:
            return None
        if pictures and price.image is not None:
            return pictures * price.image
        if counts.prompt is None:
            return None
        cached = counts.cached or 0
        parts = (
            (counts.prompt - cached, price.input),
            (cached, price.input if price.cached_input is None else price.cached_input),
            (counts.completion or 0, price.output),
        )
        if any(tokens and each is None for tokens, each in parts):
            return None
        return sum((tokens * (each or Decimal()) for tokens, each in parts), Decimal()) / self.per

    def shown(self, cost: Decimal) -> str:
        """Return an amount as people read it: `$0.0123`, `EUR 0.02`, `< $0.0001`."""
        sign = SIGNS.get(self.currency) or f"{self.currency} "
        if 0 < cost < SMALLEST:
            return f"< {sign}{SMALLEST}"
        if cost >= 1 or not cost:
            return f"{sign}{cost.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
        number = f"{cost.quantize(SMALLEST, ROUND_HALF_UP)}"
        return sign + (number[:-2] + number[-2:].rstrip("0"))


def read(path: Path | None) -> Prices:
    """Return the price list of a file, and an empty one where there is none. Raises PricesError."""
    if path is None:
        return Prices()
    try:
        return _prices(json.loads(path.read_bytes(), parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_unique))
    except json.JSONDecodeError as error:
        wrong = f"line {error.lineno}, column {error.colno} is no JSON: {error.msg}"
    except OSError as error:
        wrong = f"{error.strerror or error}"
    except (ValueError, RecursionError) as error:
        wrong = str(error)
    raise PricesError(f"PRICES is {str(path)!r}, which cannot be used: {wrong}.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"the name {min(twice)!r} stands twice in one object")
    return dict(pairs)


def _prices(file: Any) -> Prices:
    _check_names(file, TOP, "the file")
    currency, per = file.get("currency", "USD"), file.get("per", Decimal(1_000_000))
    if not isinstance(currency, str) or not 0 < len(currency.strip()) <= 8:
        raise ValueError(f"currency is {_told(currency)}; allowed is a short name such as USD")
    if not isinstance(per, Decimal) or per != per.to_integral_value() or not 1 <= per <= 10**9:
        raise ValueError(f"per is {_told(per)}; allowed is the whole number of tokens that a price is for")
    models = file.get("models")
    if not isinstance(models, dict):
        raise ValueError("models is missing, or is no object of prices by the models' names")
    return Prices({name: _price(name, given) for name, given in models.items()}, currency.strip(), int(per))


def _price(name: str, given: Any) -> Price:
    if not name or "*" in name[:-1]:
        raise ValueError(f"models has the name {name!r}; a * may stand at a name's end alone")
    where = f"models → {name!r}"
    _check_names(given, Price._fields, where)
    for kind, value in given.items():
        if not isinstance(value, Decimal) or not 0 <= value <= 10**9:
            raise ValueError(f"{where} → {kind} is {_told(value)}; allowed is a number from 0")
    return Price(**given)


def _check_names(given: Any, allowed: tuple[str, ...], where: str) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"{where} is {_told(given)}; allowed is an object with {', '.join(allowed)}")
    if unknown := [name for name in given if name not in allowed]:
        raise ValueError(f"{where} has {unknown[0]!r}; allowed are {', '.join(allowed)}")


def _told(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, default=str)[:60]
