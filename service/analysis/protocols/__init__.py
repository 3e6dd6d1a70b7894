"""Protocols: files that list what an exam must show, and the check of an exam against one."""
