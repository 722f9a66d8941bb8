"""The demo: drives the real platform through its main job, measures it, and writes down what happened."""
