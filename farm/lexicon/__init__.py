"""Lexicons: how words are said that are written otherwise.

entries    what a lexicon says, and its limits
matcher    finds its words in a text
reading    puts what is said into a script
pls        the Pronunciation Lexicon Specification, in and out
"""
