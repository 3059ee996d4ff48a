"""The ear: it hears a clip and compares what it hears with what was written. It knows neither jobs nor engines.

    files        the weights of Whisper base, pinned, and where they come from
    whisper      a clip into text, and its words into times
    spelling     a text into the letters that are compared
    comparison   what was written against what was heard
    places       when each word of what was written is said
    rules        how much of it may differ, by language: the table of thresholds
    hearing      these together: clips into reports
    listener     the process in which that happens: `python -m worker.ear.listener`
    ear          the other end of that process, which bounds how long and how often it may fail

`worker/render/gate.py` stands between an engine and the commit and asks the ear. Importing this imports neither
CTranslate2 nor numpy; the extra tts-farm[check] brings what `hearing` needs.
"""
