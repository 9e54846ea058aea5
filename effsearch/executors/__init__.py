"""Where trainings run: processes of this machine, or a Ray cluster; and latency, measured with nothing beside it."""
