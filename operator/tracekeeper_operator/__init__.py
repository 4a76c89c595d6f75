"""The control plane: the controller and the injector."""

__version__ = "0.1.0"
