"""The command `audit`, and the options of jobs that prepare one."""
