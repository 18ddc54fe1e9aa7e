"""The recommendations beat the best-sellers, and only because of who bought what."""

from __future__ import annotations

import numpy as np
import pytest

from models.zoo import recommend

WORTH_SERVING = 1.15  # times the hit rate of a popularity ranking


def held_out_score(shuffle: bool) -> float:
    """Return the hit rate at 10 relative to that of the best-sellers; items can be shuffled over the
    users.
    """
    train_part, held_out = recommend.split(recommend.data())
    popular = recommend.hit_rate(recommend.train_popularity(train_part), held_out)
    if shuffle:
        items = np.random.default_rng(0).permutation(train_part[:, 1])
        train_part = np.column_stack((train_part[:, 0], items))
    return recommend.hit_rate(recommend.train(train_part), held_out) / popular


@pytest.fixture(scope="module")
def ranking():
    return recommend.train(recommend.data())


def test_is_worth_serving():
    assert held_out_score(shuffle=False) >= WORTH_SERVING


def test_learns_from_who_bought_what():
    """Shuffled purchases hold no information on a user's taste, so the same test fails."""
    assert held_out_score(shuffle=True) < WORTH_SERVING


def test_every_user_has_three_purchases_held_out():
    purchases = recommend.data()
    train_part, held_out = recommend.split(purchases)
    assert len(train_part) + len(held_out) == len(purchases)
    assert np.bincount(held_out[:, 0]).tolist() == [0] + [3] * recommend.USERS
    assert not set(map(tuple, train_part.tolist())) & set(map(tuple, held_out.tolist()))


def test_training_again_gives_the_same_answers(ranking):
    users = np.arange(1.0, recommend.USERS + 1).reshape(-1, 1)
    assert recommend.train(recommend.data()).predict(users) == ranking.predict(users)


def test_a_user_is_answered_alone_as_in_company(ranking):
    users = np.array([[1.0], [400.0], [800.0], [400.0]])
    assert ranking.predict(users, k=50) == [ranking.predict(user.reshape(1, 1), k=50)[0] for user in users]


@pytest.mark.parametrize("k", [1, 10, 50])
def test_gives_the_k_best_items_in_order(ranking, k):
    (items,) = ranking.predict(np.array([[17.0]]), k=k)
    assert items == ranking.predict(np.array([[17.0]]), k=50)[0][:k]
    assert len({item["item_id"] for item in items}) == k
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)


def test_gives_ten_items_unless_told_otherwise(ranking):
    assert len(ranking.predict(np.array([[1.0]]))[0]) == 10
    assert ranking.signature.parameters[0].default == 10


def test_never_shows_what_the_user_has_bought(ranking):
    purchases = recommend.data()
    for user in range(1, recommend.USERS + 1):
        bought = purchases[purchases[:, 0] == user, 1]
        assert not np.isin(ranking.items[user - 1], bought).any()


def test_records_are_as_declared(ranking):
    declared = [column.name for column in ranking.signature.output.columns]
    (items,) = ranking.predict(np.array([[3.0]]), k=2)
    assert [list(item) for item in items] == [declared, declared]
    assert [type(value) for value in items[0].values()] == [int, str, str, float]


def test_the_declared_range_of_users_is_the_known_one(ranking):
    (user,) = ranking.signature.columns
    assert (user.minimum, user.maximum) == (1, len(ranking.items))


def test_items_have_names_of_their_own(ranking):
    users = np.arange(1.0, recommend.USERS + 1).reshape(-1, 1)
    names = {item["item_id"]: item["name"] for items in ranking.predict(users, k=50) for item in items}
    assert len(set(names.values())) == len(names) > 200
