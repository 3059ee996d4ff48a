"""Everything that a first GPU is to be asked, in one command of ten minutes that needs no download.

    __main__   the command line: asks every probe, prints the table, writes it
    probes     which probes there are, in their order, each with its limit of seconds
    host       the process in which probes run: ended when a probe hangs, replaced when one breaks it
    table      rows of results, as text, Markdown and JSON
    bench      what probes share: device, checkpoints, networks, the engine

and one file for each kind of question, from `machine` to `trace`. docs/gpu.md says what each row means.
"""
