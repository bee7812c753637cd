"""A system in a package of its own: frequencies of space groups and elements, learned by gradient descent; positions at random."""
