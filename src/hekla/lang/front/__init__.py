"""The front end: Python source -> typed tree (`hir`), every user error found and placed here."""
