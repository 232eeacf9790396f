"""Policies: networks that answer an observation with an action, learnt from the planner and by trial and error."""
