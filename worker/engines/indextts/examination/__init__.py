"""The engine examines itself on a GPU before its first job, because two cards of one name are not one driver, build and
set of kernels.

    comparison   one way of computing against another, in dB
    ways         how an engine may run, the bounds, and what comes next where a bound is missed
    stages       the stages of an engine one by one, on a few sentences
    warmth       a full batch through the whole engine: how fast, and which stage takes which share
    start        makes an engine, examines it, and makes it in another way until it is sound

A fault that a bound catches costs a slower way and a warning; an engine that is wrong in every way does not start.
"""
