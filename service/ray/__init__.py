"""The same engine on many machines, under Ray; needs the extra `ray`."""
