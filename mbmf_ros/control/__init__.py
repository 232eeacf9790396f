"""Tasks, planners and the model predictive controller."""
