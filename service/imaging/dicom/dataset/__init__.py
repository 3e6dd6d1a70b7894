"""Read the elements of a data set, in any encoding and however odd those are that the service does not need."""
