"""Engines that run a trained model outside the framework that trained it."""
