"""What can be wrong with a host, a value each: texts that the doctor and the hints of errors share."""
