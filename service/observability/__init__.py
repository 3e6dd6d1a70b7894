"""Request ids, trace ids, log lines and metrics. None of them contains any part of an upload."""
