"""The demo model "recommend": which items a customer is likely to buy next, by a truncated SVD of purchases.

Every known user's ranking is computed once, in training, down to the longest list that a request may have. A
prediction is then a look-up: it takes microseconds, and other rows of the batch do not change a bit of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from models.publishing import publish
from models.signature import Column, Output, Signature

if TYPE_CHECKING:
    from models.store import Store

NAME = "recommend"
SEED = 11
USERS = 800
MAX_ITEMS = 50
SAMPLE_ROWS = 400

#: Aisle -> its products; each product exists in every one of FINISHES.
AISLES: dict[str, tuple[str, ...]] = {
    "kitchen": ("kettle", "skillet", "stockpot", "teapot", "mixing bowl", "bread bin"),
    "garden": ("watering can", "planter", "trellis", "bird feeder", "lantern", "bench"),
    "office": ("desk lamp", "letter tray", "pen holder", "bookend", "wall clock", "paperweight"),
    "bath": ("soap dish", "towel rail", "mirror", "basket", "shelf", "stool"),
    "outdoor": ("flask", "lunch box", "mess kit", "camp stove", "mug", "storage crate"),
    "play": ("toy train", "building set", "puzzle box", "chess set", "spinning top", "rocking horse"),
    "living": ("side table", "picture frame", "vase", "candle holder", "magazine rack", "coat stand"),
    "workshop": ("tool chest", "clamp", "work light", "vice", "plumb bob", "spirit level"),
}
FINISHES = ("oak", "steel", "enamel", "brass", "bamboo")

SIGNATURE = Signature(
    columns=(
        Column(
            "user_id", "int", f"Customer number, 1 to {USERS}; only known customers", minimum=1, maximum=USERS
        ),
    ),
    parameters=(Column("k", "int", "How many items", default=10, minimum=1, maximum=MAX_ITEMS),),
    output=Output(
        "records",
        columns=(
            Column("item_id", "int", "Number of the item in the catalogue"),
            Column("name", "string", "Name of the item"),
            Column("aisle", "string", "Where the shop shows it"),
            Column("score", "float", "Expected affinity; higher is better, comparable for one user only"),
        ),
    ),
)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best items for every user, best first, without those already bought."""

    #: int16 ndarray of shape (USERS, MAX_ITEMS): item numbers.
    items: np.ndarray
    #: float64 ndarray of shape (USERS, MAX_ITEMS), falling along a row.
    scores: np.ndarray
    signature: ClassVar[Signature] = SIGNATURE

    def predict(self, rows: np.ndarray, k: int = 10) -> list[list[dict[str, Any]]]:
        """Return the k best items of each user; ``rows`` has shape (n_rows, 1), user numbers."""
        users = rows[:, 0].astype(int) - 1
        items, scores = self.items[users, :k].tolist(), self.scores[users, :k].tolist()
        return [
            [{**_CATALOGUE[item], "score": score} for item, score in zip(*of_user, strict=True)]
            for of_user in zip(items, scores, strict=True)
        ]


#: Item number -> its members in a reply.
_CATALOGUE: list[dict[str, Any]] = [
    {"item_id": number, "name": f"{finish} {thing}", "aisle": aisle}
    for number, (aisle, finish, thing) in enumerate(
        (aisle, finish, thing)
        for aisle, things in AISLES.items()
        for finish, thing in product(FINISHES, things)
    )
]
ITEMS = len(_CATALOGUE)


def data(seed: int = SEED) -> np.ndarray:
    """Return generated purchases, int (n_purchases, 2): user 1..USERS and item 0..ITEMS-1, no pair twice.

    A purchase is drawn by the popularity of the item and by the user's taste, which is for two or three
    aisles and one or two finishes. Each user has bought 15 to 40 different items. Rows are grouped by user,
    in random order within one.
    """
    rng = np.random.default_rng(seed)
    popularity = rng.permutation(-0.7 * np.log(1 + np.arange(ITEMS)))
    aisle = np.array([list(AISLES).index(item["aisle"]) for item in _CATALOGUE])
    finish = np.arange(ITEMS) // len(AISLES["kitchen"]) % len(FINISHES)
    aisle_taste = 4.8 * rng.dirichlet(np.full(len(AISLES), 0.25), USERS)
    finish_taste = 2.0 * rng.dirichlet(np.full(len(FINISHES), 0.35), USERS)
    utility = popularity + aisle_taste[:, aisle] + finish_taste[:, finish]
    # The largest of utility plus Gumbel noise are draws without replacement in proportion to exp(utility).
    order = np.argsort(-(utility + rng.gumbel(size=utility.shape)), axis=1)
    counts = rng.integers(15, 41, USERS)
    pairs = [
        np.column_stack((np.full(count, user), rng.permutation(order[user - 1, :count])))
        for user, count in enumerate(counts, start=1)
    ]
    return np.concatenate(pairs)


def split(purchases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the purchases without each user's last three rows, and those rows."""
    ends = np.cumsum(np.bincount(purchases[:, 0])[1:])
    last = (ends[:, np.newaxis] - np.array([3, 2, 1])).ravel()
    return np.delete(purchases, last, axis=0), purchases[last]


def _bought(purchases: np.ndarray) -> np.ndarray:
    """Return who has bought what: bool, shape (USERS, ITEMS)."""
    bought = np.zeros((USERS, ITEMS), dtype=bool)
    bought[purchases[:, 0] - 1, purchases[:, 1]] = True
    return bought


def _rank(affinity: np.ndarray, bought: np.ndarray) -> Ranking:
    """Rank what each user has not bought by ``affinity``, float64 of shape (USERS, ITEMS)."""
    affinity = np.where(bought, -np.inf, affinity)
    items = np.argsort(-affinity, axis=1, kind="stable")[:, :MAX_ITEMS]
    # Rounding to six places hides the last bits, which differ between builds of the linear algebra library.
    return Ranking(items.astype(np.int16), np.round(np.take_along_axis(affinity, items, axis=1), 6))


def train(purchases: np.ndarray, rank: int = 12) -> Ranking:
    """Fit a ranking; purchases as ``data`` returns them, of shape (n_purchases, 2). ``rank`` is the number of
    tastes.
    """
    bought = _bought(purchases)
    # Division by the roots of both counts keeps busy users and best-sellers from dominating the tastes.
    per_user = np.sqrt(np.maximum(bought.sum(axis=1, keepdims=True), 1))
    per_item = np.sqrt(np.maximum(bought.sum(axis=0, keepdims=True), 1))
    left, strength, right = np.linalg.svd(bought / (per_user * per_item), full_matrices=False)
    return _rank((left[:, :rank] * strength[:rank]) @ right[:rank] * per_item * per_user, bought)


def train_popularity(purchases: np.ndarray) -> Ranking:
    """Return the baseline: the same best-sellers for everybody, without what each user has bought."""
    bought = _bought(purchases)
    return _rank(np.tile(bought.mean(axis=0), (USERS, 1)), bought)


def hit_rate(ranking: Ranking, held_out: np.ndarray, k: int = 10) -> float:
    """Return the share of users with a held-out purchase among their k best items; held_out: (n_purchases,
    2).
    """
    shown = np.zeros((USERS, ITEMS), dtype=bool)
    np.put_along_axis(shown, ranking.items[:, :k].astype(int), True, axis=1)
    return float(np.mean((shown & _bought(held_out)).any(axis=1)))


def publish_into(store: Store) -> None:
    """Measure on each user's last three purchases, and then publish a ranking learned from all of them."""
    purchases = data()
    train_part, held_out = split(purchases)
    users = np.random.default_rng(SEED).choice(np.arange(1.0, USERS + 1), SAMPLE_ROWS, replace=False)
    publish(
        store,
        NAME,
        train(purchases),
        users.reshape(-1, 1),
        metrics={
            "hit_rate_at_10": hit_rate(train(train_part), held_out),
            "popularity_hit_rate_at_10": hit_rate(train_popularity(train_part), held_out),
        },
        description="What a customer is likely to buy next, best first; learned from generated purchases",
        tags=("1.0.0",),
        parameters={"k": 10},
    )
