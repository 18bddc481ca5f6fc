"""One file per term of an estimate, named as in the JSON answer."""
