"""The control plane: the controller and the injector."""
