"""The parts of every worker process: its role, its consumer, and the threads of keeper, heartbeat and standby."""
