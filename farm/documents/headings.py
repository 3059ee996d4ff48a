"""Headings of a text: Markdown's, by CommonMark, and lines such as "Chapter 2 The Storm", "Epilogue" or 第十二章.

Such lines are recognised in the languages of `_WORDS`, `_ORDINALS`, `_COUNTED` and `_NAMES`, and numbers alone in all
(lone_numbers.py). In all others, mark chapters with `#`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from markdown_it.token import Token

from farm.documents.lone_numbers import First, lone_numbers
from farm.documents.markdown import parsed, shown

LONGEST_TITLE = 200  # characters, the limit of a chapter's title on the wire


def _folded(text: str) -> str:
    """Without accents of Latin, Greek and Cyrillic letters, which capitals often lack; full-width forms as plain."""
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFC", re.sub("[\u0300-\u036f]", "", apart))


# "Chapter" before its number: Chapter 3, Часть вторая.
_WORDS = """
    chapter chap. ch. part book section stave canto volume vol. letter act episode tale interlude
    kapitel kap. teil abschnitt buch band akt aufzug gesang brief chapitre partie livre tome acte chant
    capítulo capítol cap. parte libro livro tomo acto atto capitolo hoofdstuk deel boek kapittel del kafli luku osa
    rozdział część tom księga kapitola část díl diel časť poglavlje poglavje dio capitolul partea bölüm kısım
    глава гл. часть книга том действие розділ частина част κεφάλαιο μέρος βιβλίο
    chương phần hồi bab bagian الفصل الباب الجزء فصل بخش פרק חלק अध्याय भाग खंड অধ্যায় அத்தியாயம்
"""
# An ordinal before it: Erstes Kapitel, Première partie, İkinci Bölüm; and where that is usual, 1. Kapitel.
_COUNTED_WORDS = """
    kapitel teil abschnitt buch band akt aufzug gesang kapitlet delen boken kapittel kapittelet bok hoofdstuk deel boek
    kafli luku osa kirja kapitola část díl diel časť poglavlje poglavje dio fejezet rész könyv bölüm kısım peatükk
    nodaļa skyrius
"""
_ONES = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn
    sechzehn siebzehn achtzehn neunzehn un deux trois quatre cinq sept huit neuf dix onze douze treize quatorze
    quinze seize uno una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis
    diecisiete dieciocho diecinueve veintiuno veintidós veintitrés due tre quattro cinque sei sette otto nove dieci
    undici dodici tredici quattordici quindici sedici diciassette diciotto diciannove ventuno ventidue ventitré um
    uma dois duas três quatro sete oito dez doze treze quatorze dezesseis dezasseis dezessete dezoito dezenove een
    twee drie vier vijf zes zeven negen tien elf twaalf dertien veertien vijftien zestien ett två fyra fem sex sju
    åtta nio tio elva tolv én seks syv sju otte åtte ni ti elleve tolv yksi kaksi kolme neljä viisi jeden dwa trzy
    cztery jedna dvě tři zero एक दो तीन चार पाँच पांच छह सात आठ नौ दस один одна два две три четыре пять шесть семь
    восемь девять десять bir iki üç dört beş altı yedi sekiz dokuz on một hai ba bốn năm satu dua tiga empat
"""
_TENS = """
    twenty thirty forty fifty sixty seventy eighty ninety hundred zwanzig dreißig vierzig fünfzig vingt trente
    quarante cinquante soixante cent veinte treinta cuarenta cincuenta venti trenta quaranta cinquanta vinte trinta
    quarenta twintig dertig veertig tjugo trettio tyve tredive
    (?:tjugo|trettio|fyrtio)(?:ett|två|tre|fyra|fem|sex|sju|åtta|nio) [a-zæ]{2,4}og(?:tyve|tredive|fyrre)
    (?:tjue|tretti|førti)(?:en|to|tre|fire|fem|seks|sju|åtte|ni) [a-z]{3,6}[eë]n(?:twintig|dertig|veertig) двадцать
    тридцать сорок
"""
_ORDINALS = r"""
    first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
    (?:thir|four|fif|six|seven|eigh|nine)teenth (?:twen|thir|for|fif|six|seven|eigh|nine)tieth last final
    (?:(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und)?(?:zwanzig|dreißig|vierzig|fünfzig)ste[rsn]?
    (?:erst|zweit|dritt|viert|fünft|sechst|siebt|siebent|acht|neunt|zehnt|elft|zwölft|[a-zü]{3,8}zehnt|letzt)e[rsn]?
    premi(?:er|ère) second(?:e|o|a)? derni(?:er|ère) [a-zéèà-]{3,16}i[eè]me
    (?:primer|tercer)[oa]? (?:primeir|terceir|prim|terz|quart|cuart|quint|sext|sest|séptim|sétim|settim|octav)[oa]
    (?:oitav|ottav|noven|non|segund|décim|decim|undécim|duodécim|vigésim|trigésim|últim|ultim)[oa]
    [a-z]{3,16}[eé]sim[oa]
    eerste tweede derde vierde vijfde zesde zevende achtste negende tiende elfde twaalfde laatste
    [a-z]{3,14}(?:tiende|tigste)
    första andra tredje fjärde femte sjätte sjunde åttonde nionde tionde sista
    første anden andet annen annet andre fjerde sjette syvende sjuende ottende åttende niende tiende siste
    ensimmäinen toinen kolmas neljäs viides kuudes seitsemäs kahdeksas yhdeksäs kymmenes viimeinen
    (?:pierwsz|drug|trzec|czwart|piąt|szóst|siódm|ósm|dziewiąt|dziesiąt|[a-z]{3,8}nast|ostatn)(?:y|a|e|i|ia|ie)
    (?:dwudziest|trzydziest|czterdziest)(?:y|a|e)
    (?:prvn|třet|posledn)í (?:druh|čtvrt|pát|šest|sedm|osm|devát|desát|prv|tret|piat|štvrt)(?:ý|á|é|i|a|o|ia)
    (?:treć|peti?|šest|drug|četvrt|deset)[aio]? [a-záéíóöőúüű]{2,18}dik első [a-zıöüşğç]{2,14}(?:[iıuü]?nc[iıuü])
    întâi
    (?:a|al)\s(?:dou|doil|trei|treil|patr|patrul|cinc|cincil|șas|șasel|șapt|șaptel|opt|optul|nou|nouăl|zec|zecel)e?a
    (?:перв|втор|трет|четв[её]рт|пят|шест|седьм|восьм|девят|десят|[а-я]{3,10}надцат|двадцат|последн)(?:ый|ая|ой|ое|ий|ья|ье|яя)
    (?:перш|друг|трет|четверт|п.?ят|шост|сьом|восьм|дев.?ят|десят|останн)(?:ий|а|е|я|є)
    (?:първ|втор|четвърт|пет|шест)(?:а|и|о)
    (?:πρώτ|δεύτερ|τρίτ|τέταρτ|πέμπτ|έκτ|έβδομ|όγδο|ένατ|δέκατ)(?:ο|ος|η)
    (?:ال)?(?:أول|اول|أولى|ثاني|ثانية|ثالث|رابع|خامس|سادس|سابع|ثامن|تاسع|عاشر|حادي) عشر دوم سوم چهارم پنجم ششم هفتم یکم
    ראשון ראשונה שני שנייה שלישי שלישית רביעי חמישי שישי पहला दूसरा तीसरा प्रथम द्वितीय প্রথম দ্বিতীয় তৃতীয়
"""
_ROMAN = r"(?=[ivxlc])c{0,3}(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"


def _one_of(*listed: str) -> str:
    words = " ".join(listed).split()
    return "|".join(word.replace(".", r"\.") if word.endswith(".") else word for word in words)


_WORD = f"(?:{_one_of(_TENS, _ORDINALS, _ONES)})"
_AND = "(?:(?:and|et|y|e|i|og|och|und)[ -])?"
_IN_WORDS = rf"(?:[a-zü]{{3,6}}und(?:zwanzig|dreißig|vierzig|fünfzig)|{_WORD}(?:[ -]{_AND}{_WORD}){{0,3}})"
_NUMBER = (
    rf"(?:(?:#|no\.?\s*|nr\.?\s*)?\d+(?:⁄\d+)?(?:er|re|e|ª|º|[a-d])?|{_ROMAN}(?:er|re)?|{_IN_WORDS}"
    r"|[α-ω][΄'ʹ’]?|[א-ת]{1,2}['״׳]?)"
)
_NUMBERED = _folded(
    rf"(?:(?:{_one_of(_WORDS)})\s+(?:the\s+)?{_NUMBER}|(?:kapitel|kapittel|del)\s+(?:to|fire)|kapitt?el\s+e[tn])"
    r"(?!\w)(?P<rest>.*)$"
)
_ORDERED = _folded(
    rf"(?:(?:(?:the|das|der|die)\s+)?(?:{_WORD}[ -])?(?:{_one_of(_ORDINALS)})"
    rf"\s+(?:{_one_of(_WORDS, _COUNTED_WORDS)})"
    rf"|(?:\d+|{_ROMAN})\.\s*(?:{_one_of(_COUNTED_WORDS)}))(?!\w)(?P<rest>.*)$"
)
# Counted by a character: 第十二章, 제3장, 卷一, บทที่ ๑.
_NUMERALS = "0-9〇零一二三四五六七八九十百千万萬兩两壹貳贰叁參肆伍陸陆柒捌玖拾佰仟廿卅"
_COUNTED = _folded(
    rf"(?:(?:正文\s+)?第\s*[{_NUMERALS}]+\s*(?:[章卷篇]|回(?!合)|[節节部集話话幕](?=[\s:.、·—–-]|$))"
    rf"|[卷その]+[{_NUMERALS}]+(?=\s|$)|[上中下終终]卷(?=\s|$)"
    r"|제\s*(?:\d+|[일이삼사오육칠팔구십백]+)\s*[장부편화]|\d+\s?[장화](?=\s*[:.]|\s*$)"
    r"|(?:บทที่|ตอนที่|ภาคที่|ภาค|เล่มที่)\s*(?:\d+|หนึ่ง|สอง|สาม|สี่|ห้า|หก|เจ็ด|แปด|เก้า|สิบ))(?P<rest>.*)$"
)
# Chapters that have a name in place of a number, and stand alone on their line or before a title: "Epilogue: Home".
_NAMES = r"""
    prologue epilogue interlude acknowledge?ments appendix(?:\s[a-h])? intermission dedication conclusion
    author['’]s\snote foreword preface introduction afterword coda prolog epilog vorwort nachwort zwischenspiel
    einleitung anhang prólogo epílogo prefacio prefácio introducción introdução épilogue préface avant-propos
    postface prologo epilogo prefazione introduzione voorwoord nawoord proloog epiloog inleiding förord efterord
    forord etterord esipuhe loppusanat wstęp przedmowa posłowie zakończenie od\sautora předmluva doslov úvod előszó
    utószó prológus epilógus önsöz sonsöz giriş cuvânt\sînainte prologi epilogi johdanto пролог эпилог епілог
    предисловие послесловие введение вступление от\sавтора заключение передмова післямова πρόλογος επίλογος εισαγωγή
    مقدمة خاتمة تمهيد مقدمه پیش‌گفتار מבוא הקדמה אחרית\sדבר प्रस्तावना भूमिका उपसंहार บทนำ คำนำ บทส่งท้าย mở\sđầu
    lời\skết 序 跋 自序 序言 前言 序章 序幕 楔子 引子 终章 終章 最终章 尾声 尾聲 番外篇 番外[一二三四五六七八九十]?
    后记 後記 幕間 プロローグ エピローグ あとがき まえがき はじめに おわりに 間章 프롤로그 에필로그 서문 머리말
    맺음말
"""
_NAMED = _folded(rf"(?:{_one_of(_NAMES)})(?:\s*[.:：]?|\s*[:：—–-]\s*\S(?P<rest>.*))$")
_PART = _folded(
    r"\b(?:part|book|volume|teil|buch|band|partie|livre|tome|parte|libro|livro|tomo|deel|boek|del|bok|osa|kirja|część"
    r"|tom|księga|část|díl|часть|книга|том|частина|rész|könyv|kısım|μέρος|βιβλίο)\b|[卷部編编]"
)
_SEPARATED = re.compile(r"\s*[.:：、·—–-]\s*\S|\s*[.:：]?\s*$")
_SENTENCE_END = re.compile(r"[.,;:。，；：]$")


@dataclass(frozen=True, slots=True)
class Heading:
    """Lines `first` to `last`, counted from 0, are the heading `title`. Level 1 is the highest."""

    level: int
    title: str
    first: int
    last: int


def markdown_headings(lines: Sequence[str]) -> list[Heading]:
    """Headings outside code, lists and quotes."""
    return list(_headings(parsed(lines)))


def _headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Without those that have no title: a line of `#` alone is a scene break."""
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            title = " ".join(shown(content).split())
            if title:
                yield Heading(int(token.tag[1:]), title, token.map[0], token.map[1] - 1)


def numbered_headings(lines: Sequence[str]) -> list[Heading]:
    """Lines such as "Chapter 3: The Storm" after a blank line, a page break, or at the beginning."""
    begins = [
        number
        for number, line in enumerate(lines)
        if line.strip() and (number == 0 or not lines[number - 1].strip() or line.startswith("\f"))
    ]
    paragraphs = ["\n".join(lines[begin:end]).strip() for begin, end in pairwise([*begins, len(lines)])]
    return [
        replace(heading, first=begins[heading.first], last=begins[heading.first])
        for heading in headings_among(paragraphs)
    ]


def headings_among(paragraphs: Sequence[str]) -> list[Heading]:
    """The first lines of paragraphs that number or name a chapter; `first` is the place of the paragraph. Numbers alone
    are those of chapters where no other line numbers one."""
    titles = [paragraph.partition("\n")[0].strip() for paragraph in paragraphs]
    found = {place for place, title in enumerate(titles) if is_numbered(title)}
    if all(map(_is_around_chapters, (titles[place] for place in found))):
        found |= lone_numbers(
            [
                First(_folded(titles[place]).strip(), "\n" not in paragraph, place in found, before[-8:])
                for place, (before, paragraph) in enumerate(pairwise(["", *paragraphs]))
            ]
        )
    return [Heading(1, titles[place], place, place) for place in sorted(found)]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiled when it is first needed: all of them take 60 ms, and few processes look for headings."""
    return re.compile(pattern, re.IGNORECASE)


def _is_around_chapters(title: str) -> bool:
    """Whether it is the heading of a part, which has chapters, or the name of a chapter without a number."""
    return _compiled(_PART).search(_folded(title)) is not None or _compiled(_NAMED).match(_folded(title)) is not None


def is_numbered(line: str) -> bool:
    """Whether the line numbers or names a chapter, and is no sentence that begins like one. Full-width forms count as
    plain."""
    if len(line) > 2 * LONGEST_TITLE:
        return False
    text = _folded(line).strip()
    if len(text) > LONGEST_TITLE:
        return False
    for numbered in (_NUMBERED, _ORDERED):
        if found := _compiled(numbered).match(text):
            rest = found["rest"]
            if _SEPARATED.match(rest):
                return True
            title = rest.strip()
            return rest.startswith(" ") and not title[:1].islower() and not _SENTENCE_END.search(title)
    if found := _compiled(_COUNTED).match(text):
        rest = found["rest"]
        return not rest.strip() or rest[0] in " :、·—–-" or not _SENTENCE_END.search(rest)
    if found := _compiled(_NAMED).match(text):
        return not _SENTENCE_END.search(found["rest"] or "")
    return False
