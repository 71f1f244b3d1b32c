"""How far a study is, read from what it has written; nothing is locked or changed."""
