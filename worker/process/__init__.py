"""What every worker process has, whatever its role: its consumer, its keeper, its heartbeat, its standby."""
