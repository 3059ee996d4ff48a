import pytest
from store_walk import Walk


@pytest.mark.parametrize("seed", range(12))
def test_a_random_walk_leaves_every_key_as_the_model_has_it(farm, seed):
    walk = Walk(farm, seed=seed)
    walk.run(2000)
    print(walk.hits)
