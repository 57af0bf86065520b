"""What searches: states, traces, random schedules, endless runs, few context switches."""
