"""The methods, one file each; every class here that names itself is found by `bench`."""
