# Places (rarecxr/study/paths.py), so that the rules stay short.
pathvars:
    **PATHS.patterns(),
