"""The words by which a document says what its parts are: those of the EPUB vocabulary (epub:type; role has them with
"doc-"), the titles that chapters of these kinds have, and the elements of HTML that stand apart."""

from __future__ import annotations

import re
from collections.abc import Mapping

NOTES = frozenset({"footnote", "endnote", "rearnote", "note"})
OF_NOTES = frozenset({"footnotes", "endnotes", "rearnotes"})
OF_PAGES = frozenset({"running-head", "page-number"})

_CONTENTS = "toc toc-brief landmarks loi lot loa lov page-list pagelist"
_INDEX = "index index-headnotes index-group index-entry"
_BIBLIOGRAPHY = "bibliography biblioentry"
_COPYRIGHT = "copyright-page imprint imprimatur colophon"
_FRONT_MATTER = (
    "cover titlepage halftitlepage halftitle dedication epigraph acknowledgments acknowledgements foreword "
    "preface seriespage frontmatter"
)
_BACK_MATTER = (
    "backmatter afterword appendix glossary errata credits credit contributors other-credits ads advertisement"
)
_OTHERS = "bodymatter introduction prologue epilogue conclusion other"

_APART_NAMES = (
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section "
    "summary table ul tbody thead tfoot tr td th"
)
APART = frozenset(_APART_NAMES.split())  # elements of HTML that no line goes through

# rule -> its words. The rule of a more exact word counts before that of a wider one.
RULES: Mapping[str, frozenset[str]] = {
    "contents": frozenset(_CONTENTS.split()),
    "index": frozenset(_INDEX.split()),
    "bibliography": frozenset(_BIBLIOGRAPHY.split()),
    "copyright": frozenset(_COPYRIGHT.split()),
    "front_matter": frozenset(_FRONT_MATTER.split()),
    "back_matter": frozenset(_BACK_MATTER.split()),
}
TYPES = frozenset().union(*RULES.values(), NOTES, OF_NOTES, _OTHERS.split())

# Whole titles, without case and ornament.
_TITLES: Mapping[str, str] = {
    "contents": (
        "contents|table of contents|list of (?:figures|tables|illustrations|maps)|inhalt|inhaltsverzeichnis|"
        "table des matières|sommaire|índice|indice|sumário|inhoud|inhoudsopgave|spis treści|оглавление|"
        "содержание|目录|目錄|目次|차례"
    ),
    "index": (
        "index|general index|index of names|register|sachregister|personenregister|stichwortverzeichnis|"
        "índice (?:alfabético|analítico|onomástico)|indice analitico|предметный указатель|索引"
    ),
    "bibliography": (
        "bibliography|works cited|references|further reading|bibliographie|bibliografie|literatur|"
        "literaturverzeichnis|bibliografía|bibliografia|библиография|список литературы|参考文献|參考文獻"
    ),
    "copyright": (
        "copyright|copyright page|copyright notice|colophon|imprint|uncopyright|impressum|mentions légales|"
        "créditos|colofón|выходные данные|版权|版权页|版權|版權頁|奥付|판권"
    ),
    "notes": (
        "notes|footnotes|endnotes|anmerkungen|fußnoten|endnoten|notes de bas de page|notas|notas al pie|"
        "примечания|注释|註釋|脚注|注"
    ),
    "front_matter": (
        "cover|title page|half title|half-title page|titlepage|dedication|epigraph|frontispiece|umschlag|"
        "titel|titelseite|widmung|couverture|page de titre|dédicace|cubierta|portada|dedicatoria|copertina|"
        "frontespizio|dedica|封面|扉页|书名页|表紙"
    ),
    "back_matter": (
        "about the authors?|about the publisher|also by(?: .*)?|other books by(?: .*)?|advertisements?|"
        "über (?:den autor|die autorin)|à propos de l['’]auteur|du même auteur|"
        "sobre (?:el autor|la autora|o autor|a autora)|об авторе|关于作者|作者简介"
    ),
}
BY_TITLE = {rule: re.compile(titles, re.IGNORECASE) for rule, titles in _TITLES.items()}

# language -> what stands for a table and for code that is not read, by the language of the document.
SHOWN: Mapping[str, tuple[str, str]] = {
    "en": ("Table", "Code"), "de": ("Tabelle", "Programmtext"), "fr": ("Tableau", "Code"), "es": ("Tabla", "Código"),
    "it": ("Tabella", "Codice"), "pt": ("Tabela", "Código"), "nl": ("Tabel", "Code"), "pl": ("Tabela", "Kod"),
    "ru": ("Таблица", "Код"), "uk": ("Таблиця", "Код"), "cs": ("Tabulka", "Kód"), "sv": ("Tabell", "Kod"),
    "zh": ("表格", "代码"), "ja": ("表", "コード"), "ko": ("표", "코드"),
}  # fmt: skip
