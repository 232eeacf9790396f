"""A robot that is not there: physics, drives, sensors, radio and clock behind the topics that a real one has."""
