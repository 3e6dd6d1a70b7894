"""A day of exams through the listener, faster than a real one."""
