"""Where sentences end, in each of the languages that are used most. A bar in a case is where one ends."""

from __future__ import annotations

from itertools import pairwise

import pytest

from farm.prose import spans
from farm.prose.abbreviations import usage
from farm.prose.sentences import sentence_ends

CASES = {
    "en": [
        "It was John’s.| Mary left.",
        "He read vol. Two and Ed. Smith's notes.| Then he slept.",
        "She wrote to Acme Inc. Monday morning.| Nobody answered.",
        "The best, i.e. The Lamp, was sold at 9 a.m. Monday.| He wept.",
        "He lives in the U.S.| The house is old.",
        "Mr. and Mrs. Hale met Dr. Weiss, e.g. Tuesday.| They spoke.",
        "J. R. R. Tolkien wrote it.| He was old.",
        "It cost approx. five pounds.| He paid.",
        "See www.example.com and e-mail a.b@c.org.| Then write.",
        "It was 3.5 m long.| Wait... what?| Yes!",
        "Read p. 45 and No. 7 of it.| She did.",
        "“Stop.”| “Go!” he said.| ‘No.’| He went.",
        "1. First we wait.| 2. Second we go.",
        "Sgt. Pepper and Lt. Gen. Ames left on Fri. Sept. 3.| It rained.",
        "(He waited.) She came.| [He left.] The end.",
        "St. Mary's on Mt. Hood, cf. Jones et al. 1999.| Good.",
        "Then came the end.Nobody saw it.",
    ],
    "de": [
        "Es war im 19. Jahrhundert.| Niemand kam.",
        "Sie spielte vom 1. FC Nord bis zum 3. Mai.| Dann ging sie.",
        "Am 3. Oktober kam Dr. Weiß mit Prof. Zorn.| Er sprach.",
        "Er las z. B. Bücher, d. h. Romane u. a. Texte.| Gut.",
        "Das gilt bzw. Galt für Nr. Fünf.| Nun ja.",
        "Ludwig XIV. König von Frankreich.| Er starb.",
        "»Geh.« »Komm!« rief er.| „Nein.“| Er ging.",
        "Im II. Weltkrieg, vgl. Bd. Drei, S. 5.| So war es.",
        "Äpfel, Birnen usw. Dann ging er.",
        "Um 50 v. Chr. Rom.| Es brannte.",
        "Die Fa. Schmidt GmbH, Hauptstr. Fünf.| Dort.",
        "Hr. Maier und Fr. Huber, geb. Lang.| Sie lachten.",
    ],
    "fr": [
        "Mme. La Salle et Mgr. Le Goff.| Ils rirent.",
        "La Vve. Clicquot et la Sté. Martin.| Bien.",
        "Le Dr. House et Mme. Roux partirent.| Il pleuvait.",
        "Mgr. Paul vint de St. Jean.| Il chanta.",
        "M. Dupont rit.| Mlle. Anne aussi.",
        "« Va ! »| « Viens. »| Il partit.",
        "En 50 av. J.-C. Rome brûlait.| Elle tomba.",
        "Voir p. 12, fig. 3 et chap. Deux.| C'est clair.",
        "Des pommes, des poires, etc. Puis il partit.",
        "La Cie. Martin, bd. Voltaire.| Elle ferma.",
        "Il vint le 3 janv. Dernier jour.| Enfin.",
        "Le prof. Blanc et Me. Noir parlèrent.| On rit.",
        "Qui est là ?| Personne !| Bon.",
    ],
    "es": [
        "El Sr. López y la Sra. Ruiz salieron.| Era tarde.",
        "Vivía en Av. Central, pág. Doce, núm. 7.| Nadie lo vio.",
        "En EE. UU. Washington manda.| Así es.",
        "En 50 a. C. Roma ardía.| Cayó.",
        "La Dra. Gil y D. Pedro, p. ej. Juan.| Hablaron.",
        "Peras, uvas, etc. Luego se fue.",
        "¿Quién es?| ¡Nadie!| Bien.",
        "Vino Ud. Solo.| Se fue.",
        "El Excmo. Señor y la Srta. Paz.| Bailaron.",
        "Cap. Primero, vol. Dos, ed. Nueva.| Fin.",
        "«Ven.»| «Voy.»| Se fue.",
    ],
    "it": [
        "Vide l’avv. Blu e l'ing. La Rosa.| Rise.",
        "Il dott. La Rosa e il sig. Lo Bianco.| Risero.",
        "Nel 50 a.C. Roma bruciava.| Cadde.",
        "Il sig. Rossi e la sig.ra Bianchi uscirono.| Era tardi.",
        "Il dott. Verdi, il prof. Neri e l'avv. Gallo.| Parlarono.",
        "Vedi pag. Dodici, cap. Tre, fig. 4.| Bene.",
        "Mele, pere ecc. Poi partì.",
        "L'ing. Blu e don. Pio, cfr. Dante.| Risero.",
        "Chi è?| Nessuno!| Bene.",
        "«Vieni.»| «Vado.»| Partì.",
        "La S.p.A. Milano fallì.| Peccato.",
        "Nel sec. Decimo, vol. Due, n. 5.| Fine.",
    ],
    "pt": [
        "Em 50 a.C. Roma ardia.| Caiu.",
        "O Sr. Silva e a Sra. Costa saíram.| Era tarde.",
        "Veja pág. Doze, cap. Três, fig. 4.| Bem.",
        "Morava na Av. Central.| Ninguém viu.",
        "O Dr. Lima, a Dra. Reis e o prof. Melo.| Falaram.",
        "Maçãs, peras, etc.| Depois saiu.",
        "V. Ex.a. Senhor, obs. Importante.| Sim.",
        "Quem é?| Ninguém!| Bem.",
        "No séc. Décimo, vol. Dois, n. 5.| Fim.",
        "O Pe. João e D. Maria, p. ex. Ana.| Riram.",
    ],
    "nl": [
        "Mevr. De Vries en dhr. De Boer.| Ze lachten.",
        "Mevr. Jansen en dhr. Bakker kwamen.| Het regende.",
        "Hij las bijv. Boeken, d.w.z. Romans.| Goed.",
        "Prof. De Vries en drs. Smit, zie blz. Vijf.| Ja.",
        "Appels, peren enz. Toen ging hij.",
        "In 50 v.Chr. Rome brandde.| Het viel.",
        "Nr. Zeven, art. Acht, ca. Tien.| Klaar.",
        "Wie is daar?| Niemand!| Goed.",
        "„Kom.”| „Nee.”| Hij ging.",
        "J. P. Balk en ir. Visser.| Zij lachten.",
        "De mr. Pot, jl. Maandag, o.a. Hier.| Zo.",
    ],
    "sv": [
        "Han läste t.ex. Böcker.| Bra.",
        "Kl. Åtta kom dr. Berg.| Det regnade.",
        "Äpplen, päron osv.| Sedan gick han.",
        "Se s. Fem, nr. Sju, kap. Två.| Ja.",
        "Hr. Ek, fr. Lind m.fl. Gäster.| De skrattade.",
        "År 50 f.Kr. Rom brann.| Det föll.",
        "”Kom.”| ”Nej.”| Han gick.",
        "Vem är där?| Ingen!| Bra.",
        "Han sa bl.a. Detta, d.v.s. Allt.| Så.",
        "A. B. Ek och prof. Alm.| De log.",
    ],
    "da": [
        "Det var i det 19. Århundrede.| Ingen kom.",
        "Han læste f.eks. Bøger.| Godt.",
        "Kl. Otte kom dr. Berg den 3. Maj.| Det regnede.",
        "Æbler, pærer osv. Så gik han.",
        "Se s. Fem, nr. Syv, kap. Tre.| Ja.",
        "Hr. Ek, fru Lind m.fl. Gæster.| De lo.",
        "»Kom.«| »Nej.«| Han gik.",
        "Hvem er der?| Ingen!| Godt.",
        "Han sagde bl.a. Dette, dvs. Alt.| Sådan.",
        "Christian IV. Konge.| Han døde.",
    ],
    "nb": [
        "Det var i det 19. Århundre.| Ingen kom.",
        "Han leste f.eks. Bøker.| Godt.",
        "Kl. Åtte kom dr. Berg den 3. Mai.| Det regnet.",
        "Epler, pærer osv.| Så gikk han.",
        "Se s. Fem, nr. Sju, kap. Tre.| Ja.",
        "Hr. Ek, fru Lind m.fl. Gjester.| De lo.",
        "«Kom.»| «Nei.»| Han gikk.",
        "Hvem er der?| Ingen!| Godt.",
        "Han sa bl.a. Dette, dvs. Alt.| Slik.",
        "Haakon VII. Konge.| Han døde.",
    ],
    "pl": [
        "Film pt. Lalka i kościół pw. Maryi.| Dobrze.",
        "Szkoła im. Jana Pawła stoi.| Nikt nie wie.",
        "Był tam ks. Piotr, m.in. Anna i św. Jan.| Mówili.",
        "W XIX. Wieku i 3. Maja.| Tak było.",
        "Dr. Nowak, prof. Lis i mgr. Kot.| Śmiali się.",
        "Jabłka, gruszki itd. Potem wyszedł.",
        "Czytał np. Książki, tzn. Powieści.| Dobrze.",
        "Mieszkał na ul. Długiej, al. Róż.| Tam.",
        "Zob. Str. Pięć, rozdz. Dwa, nr. 7.| To wszystko.",
        "Kto tam?| Nikt!| Dobrze.",
        "„Chodź.”| „Nie.”| Wyszedł.",
        "Ok. Setki ludzi, godz. Ósma.| Cisza.",
    ],
    "cs": [
        "Bylo to v 19. Století.| Nikdo nepřišel.",
        "Četl např. Knihy, tzv. Romány.| Dobře.",
        "Přišel Dr. Novák, Ing. Malý a prof. Černý.| Mluvili.",
        "Jablka, hrušky atd. Potom odešel.",
        "Viz str. Pět, kap. Dvě, č. 7.| To je vše.",
        "Karel IV. Král.| Zemřel.",
        "Dne 3. Května, ul. Dlouhá, nám. Míru.| Tam.",
        "Kdo je tam?| Nikdo!| Dobře.",
        "„Pojď.“| „Ne.“| Odešel.",
        "Sv. Václav a gen. Holý, tj. Oba.| Smáli se.",
    ],
    "ru": [
        "Школа им. Пушкина стоит.| Никто не знает.",
        "Он читал, т. е. Думал, т.к. Умел.| Хорошо.",
        "В 1990 г. Иванов уехал.| Все ждали.",
        "Яблоки, груши и т. д. Потом он ушёл.",
        "Жил на ул. Длинной, д. Пять, кв. Семь.| Там.",
        "См. стр. Пять, гл. Два, рис. 7.| Да.",
        "Проф. Белов и акад. Чернов, напр. Оба.| Смеялись.",
        "А. С. Пушкин писал.| Он умер.",
        "Кто там?| Никого!| Хорошо.",
        "«Иди.»| «Нет.»| Он ушёл.",
        "В 50 г. до н. э. Рим горел.| Он пал.",
    ],
    "uk": [
        "Школа ім. Шевченка стоїть.| Ніхто не знає.",
        "Він читав, т. е. Думав, напр. Книги.| Добре.",
        "У 1990 р. Іваненко поїхав.| Усі чекали.",
        "Яблука, груші і т. д. Потім він пішов.",
        "Жив на вул. Довгій, м. Київ.| Там.",
        "Див. стор. П'ять, гл. Два, рис. 7.| Так.",
        "Проф. Білий і акад. Чорний.| Сміялися.",
        "Т. Г. Шевченко писав.| Він помер.",
        "Хто там?| Нікого!| Добре.",
        "«Іди.»| «Ні.»| Він пішов.",
    ],
    "tr": [
        "Bu 19. Yüzyılda oldu.| Kimse gelmedi.",
        "Prof. Yılmaz ve Dr. Kaya geldi.| Konuştular.",
        "II. Dünya Savaşı bitti.| Herkes sevindi.",
        "Elma, armut vb.| Sonra gitti.",
        "Atatürk Cad. Beş, Gül Sok. Yedi.| Orada.",
        "Bkz. Bölüm İki, s. Beş, no. 7.| Bu kadar.",
        "Doç. Ak ve Av. Kara, örn. İkisi.| Güldüler.",
        "Kim o?| Kimse!| İyi.",
        "“Gel.”| “Hayır.”| Gitti.",
        "M.Ö. Roma yandı.| Düştü.",
        "Ahmet gelmez der.| Ali gülüyor.",
    ],
    "hi": [
        "डॉ. राम आए।| वे गए।",
        "श्री. वर्मा और प्रो. सिंह बोले।| सब हँसे।",
        "पं. नेहरू और स्व. गांधी थे।| अच्छा।",
        "पृ. पाँच देखो।| ठीक है।",
        "कौन है?| कोई नहीं!| ठीक।",
        "रु. सौ दिए।| वह गया।",
        "“आओ।”| “नहीं।”| वह गया।",
        "ए. पी. जे. कलाम आए।| सब उठे।",
        "वह गया।|मैं आया।",
        "कु. सीता और सुश्री. गीता आईं।| वे बैठीं।",
    ],
    "ar": [
        "جاء د. أحمد.| ذهب.",
        "قال أ. د. محمود.| سكت.",
        "من هناك؟| لا أحد!| حسنا.",
        "انظر ص. خمسة.| نعم.",
        "«تعال.»| «لا.»| ذهب.",
        "عام ٥٠ ق.م. روما.| سقطت.",
        "تفاح، كمثرى إلخ. ذهب.",
        "كتب م. سالم.| قرأ.",
        "ولد عام ١٩٠٠ م. القاهرة.| مات.",
        "(انتظر.) جاءت.",
    ],
    "ja": [
        "『なぜ？』と聞いた。|本当だ。",
        "「行け。」と言った。|そうだ。",
        "彼は来た。|彼女は去った。",
        "『走れ！』|『なぜ？』|彼は黙った。",
        "（待った。）来た。",
        "何？|誰だ！|よし。",
        "Mr. Smithが来た。|彼は笑った。",
        "「彼は『行け。』と言った。」|そうだ。",
        "3.5メートルだ。|長い。",
        "「もう。」|「はい。」",
        "彼は来た……。|そして去った。",
    ],
    "zh": [
        "他说『走。』|她来了。",
        "“走吧。”|“好。”|他走了。",
        "他来了。|她走了！|谁？",
        "「走！」|「不。」|他笑了。",
        "（他等着。）她来了。",
        "《书》很好。|他读了。",
        "Mr. Smith来了。|他笑了。",
        "长3.5米。|很长。",
        "他说：“好。”|她走了。",
        "等等……他走了。",
    ],
    "th": [
        "ดร. สมชาย มา",
        "เมื่อ พ.ศ. 2500 น.ส. สมศรี มา",
    ],
    "ko": [
        "그는 갔다.| 그녀는 왔다.",
        "“가자.”| “싫어.”| 그는 웃었다.",
        "누구?| 아무도!| 좋아.",
        "Dr. Kim이 왔다.| 그는 웃었다.",
        "길이는 3.5미터다.| 길다.",
        "네.| 아니요.",
        "‘가.’| ‘아니.’| 끝.",
        "(기다렸다.) 왔다.",
        "Mr. Park과 Mrs. Lee가 왔다.| 그들은 앉았다.",
        "그는 말했다.| 그리고 갔다...| 끝.",
    ],
    "el": [
        "Ο κ. Παπάς και η κα. Ρήγα ήρθαν.| Έβρεχε.",
        "Διάβαζε π.χ. Βιβλία, δηλ. Μυθιστορήματα.| Καλά.",
        "Μήλα, αχλάδια κ.λπ. Μετά έφυγε.",
        "Βλ. σελ. Πέντε, κεφ. Δύο, αρ. 7.| Ναι.",
        "Το 50 π.Χ. Ρώμη.| Έπεσε.",
        "Στις 8 π.μ. Δευτέρα.| Ωραία.",
        "«Έλα.»| «Όχι.»| Έφυγε.",
        "Ο Δρ. Λύρας και ο καθ. Νίκου.| Γέλασαν.",
        "Α. Β. Λύρας.| Πέθανε.",
        "Η λεωφ. Αθηνών και η οδ. Ερμού.| Εκεί.",
    ],
    "fi": [
        "Se oli 19. Vuosisadalla.| Kukaan ei tullut.",
        "Hän luki esim. Kirjoja.| Hyvä.",
        "Klo. Kahdeksan tuli prof. Virta.| Satoi.",
        "Omenoita, päärynöitä jne.| Sitten hän lähti.",
        "Ks. s. Viisi, nro. Seitsemän.| Kyllä.",
        "Dipl. Ins. Aho ja maist. Koski.| He nauroivat.",
        "Kuka siellä?| Ei kukaan!| Hyvä.",
        "”Tule.”| ”Ei.”| Hän lähti.",
        "Kustaa II. Kuningas.| Hän kuoli.",
        "Se maksoi n. Viisi, ts. Vähän.| Niin.",
    ],
    "hu": [
        "Ez a 19. Században volt.| Senki sem jött.",
        "Dr. Nagy és ifj. Kiss jött.| Beszéltek.",
        "IV. Béla király.| Meghalt.",
        "Alma, körte stb.| Aztán elment.",
        "Ld. old. Öt, köt. Kettő, sz. 7.| Ez minden.",
        "Olvasott pl. Könyveket.| Jó.",
        "Ki az?| Senki!| Jó.",
        "„Gyere.”| „Nem.”| Elment.",
        "Szt. István és özv. Papné.| Nevettek.",
        "Kb. Száz ember, u. Itt.| Csend.",
        "Fájt a fej.| Mari aludt.",
    ],
    "ro": [
        "Dl. Pop și dna. Ion au venit.| Ploua.",
        "A citit de ex. Cărți.| Bine.",
        "Mere, pere etc. Apoi a plecat.",
        "Vezi pag. Cinci, vol. Doi, nr. 7.| Da.",
        "Prof. Rusu și ing. Albu.| Au râs.",
        "În sec. Zece, cca. Atunci.| Da.",
        "Cine e?| Nimeni!| Bine.",
        "„Vino.”| „Nu.”| A plecat.",
        "Pe str. Lungă și bd. Unirii.| Acolo.",
        "Sf. Ion și gen. Duca.| Au râs.",
        "Dădu din cap.| Ion tăcu.",
    ],
    "sk": ["V 19. Storočí.| Nikto.", "Čítal napr. Knihy.| Dobre.", "Dr. Malý a Ing. Nový.| Smiali sa."],
    "hr": ["U 19. Stoljeću.| Nitko.", "Čitao je npr. Knjige.| Dobro.", "Dr. Mali i sv. Ivan.| Smijali se."],
    "sl": ["V 19. Stoletju.| Nihče.", "Bral je npr. Knjige.| Dobro.", "Dr. Mali in sv. Ivan.| Smejala sta se."],
    "et": ["See oli 19. Sajandil.| Keegi.", "Ta luges nt. Raamatuid.| Hea.", "Dr. Kask ja prof. Tamm.| Naersid."],
    "lv": [
        "Tas bija 19. Gadsimtā.| Neviens.", "Viņš lasīja piem. Grāmatas.| Labi.", "Dr. Kalns un prof. Liepa.| Smējās.",
    ],
    "lt": ["Tai buvo 19. Amžiuje.| Niekas.", "Jis skaitė pvz. Knygas.| Gerai.", "Dr. Kalnas ir šv. Jonas.| Juokėsi."],
}  # fmt: skip


@pytest.mark.parametrize(("language", "case"), [(language, case) for language in CASES for case in CASES[language]])
def test_a_sentence_ends_where_a_reader_says(language: str, case: str) -> None:
    text = case.replace("|", "")
    cuts = [0, *sentence_ends(text, 0, len(text), language=language), len(text)]
    pieces = [text[start:end].strip() for start, end in pairwise(cuts)]
    assert pieces == [piece.strip() for piece in case.split("|")]


@pytest.mark.parametrize("language", CASES)
def test_no_piece_of_any_size_parts_an_abbreviation_from_its_word_or_a_mark_from_its_sentence(language: str) -> None:
    """The limits are so small that clauses and words are cut too."""
    text = " ".join(case.replace("|", "") for case in CASES[language])
    rules = usage(language)
    for limit in (40, 70, 120):
        pieces = [text[span.start : span.end] for span in spans(text, language, limit)]
        for piece, following in pairwise(pieces):
            assert not (piece[-1] == "." and rules.announces(piece.split()[-1], following)), piece
            assert following[0] not in "」』）】》〉)].,;:?!、。", following


@pytest.mark.parametrize(("text", "language"), [
    ("he left. she came. nobody saw them. it was late, and cold", "en"),
    ("er ging. sie kam. es war spät. und kalt", "de"),
])  # fmt: skip
def test_a_writer_without_capitals_is_cut_at_full_stops(text: str, language: str) -> None:
    assert all(text[span.start : span.end][-1] in ".,dt" for span in spans(text, language, 30))


def test_nothing_is_cut_within_a_word_though_it_has_full_stops_in_it() -> None:
    text = "Nel 50 a.C. Roma. Vedi www.esempio.com/a.b.C.html e a.b@c.it, v.3.5.Beta. " * 3
    words = set(text.split())
    for limit in (30, 45, 90):
        for span in spans(text, "it", limit):
            assert set(text[span.start : span.end].split()) <= words
