"""Parts of one's own, from files outside the package: each runs by itself and in the tests."""
