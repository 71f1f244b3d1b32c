"""The library of rarecxr: do synthetic chest X-rays help a classifier find what is rare?"""
