"""The processes in which uploads are decoded, so that no file can take the service, its memory or its time with it.

A header cannot be trusted to bound a decoder, and a thread cannot be interrupted. A decoder process has hard limits and
holds neither model nor keys. It can be killed at any moment, and then costs its own upload only.
"""
