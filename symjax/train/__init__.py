"""One training loop for every model: pure steps on a device mesh, exact resume, metrics and weights.

`interface` is what a model gives, `loop` trains it, `weights` is what remains. Import the module you need: this package loads none,
so that reading weights pulls in neither optax nor orbax.
"""
