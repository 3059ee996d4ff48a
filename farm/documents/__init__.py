"""Documents into chapters: EPUB, DOCX, PDF, Markdown, HTML, FB2 and plain text, all by way of one tree of blocks.

    bytes ── a reader of their kind ── Document: chapters of blocks ── rules ── what is spoken

Nothing here knows the store, storage or HTTP: a reader gets bytes and gives values, and the rules are functions. What
strangers send is read in a process with limits (worker/desk/document_process.py).
"""
