"""Sentences to be spoken and heard again: what novels, manuals and news are made of, in the languages of Kokoro.

English has 76 of 3 to 40 words, with names, numbers and marks among them, so that four voices make more than 300 clips.
The other languages have 12 each. All were written for this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ENGLISH = """\
The tide went out, and nobody saw it go.
She closed the door quietly behind her.
Where have you been all afternoon?
Not yet, I'm afraid.
He bought three apples, two plums and a loaf of bread.
The bridge was closed to traffic in the spring of that year.
Doctor Harris asked Mrs. Bell to wait outside.
Water boils at a hundred degrees at sea level.
The train to Edinburgh leaves from platform nine at half past seven.
"I can't believe it," said Thomas, "after all these years!"
At first there was only the wind moving through the tall grass, and then, far away, the first bell of the morning.
The committee decided, after a long and rather heated discussion, to postpone the vote until the following Tuesday.
Plants turn the light of the sun into sugar, and store what they do not need.
Please bring these things back with you from the market.
The old lamp keeper climbed the stairs every evening at dusk.
Nobody had lived in the house for more than forty years.
What a remarkable thing it is to be awake on a morning like this!
Rain fell steadily on the roof of the little station.
My brother repairs bicycles in a workshop behind the church.
You should have told me before the doctor arrived.
The library opens at ten and closes at six.
A small boat drifted past the end of the pier.
They walked for hours without meeting another person.
If the battery is empty, connect the charger and wait until the green light comes on.
Her grandmother kept letters from the war in a blue tin box.
The price of wheat fell again last week, while the price of oil hardly moved.
Turn left at the second crossing, then follow the river to the mill.
It was too dark to read, so he told her the story from memory.
The children laughed, and the dog barked at nothing in particular.
Every window in the street was lit except one.
In winter the lake freezes, and people drive across the ice to the other shore.
I have never understood why anybody would want to climb a mountain alone.
The captain looked at the chart, then at the clouds, and said nothing.
Three hundred people had gathered in the square before noon.
Do not open the cover while the machine is running.
The letter had been lying on the table since the beginning of March.
Somebody had painted the front door a terrible shade of green.
He spoke so softly that only the first row could hear him.
The garden was full of roses, and beyond the wall lay the fields.
We measured the temperature twice a day for eleven months.
"Come in," said the old woman, "and mind the step."
Most of the forest was planted after the great fire.
The museum shows tools, coins and pieces of glass from the Roman harbour.
Nothing happened for a while, and then everything happened at once.
Her answer was short, polite and completely useless.
The soup needs a little more salt and a lot more time.
On the far side of the valley, a light was moving slowly uphill.
The software remembers which pages you have read already.
He put on his coat, took his hat from the chair, and left without another word.
There are few places in the world where the stars are as bright as here.
The judge asked the witness to repeat the last part of her answer.
An orange cat was sleeping on the warm bonnet of the car.
They had agreed to meet under the clock, but neither of them came.
The second half of the journey was harder than the first, because the road had been washed away by the floods.
Is there anything else that you would like to know?
The factory makes seven thousand bottles in an hour.
For a long moment the two men stood there and looked at each other.
The nurse wrote the numbers on a piece of paper and pinned it to the wall.
A good map is worth more than a fast horse.
The music stopped, and the dancers looked around in surprise.
Shut the gate behind you, or the sheep will get out.
Her voice on the telephone sounded tired and far away.
This morning's meeting has been moved to the large room on the fourth floor.
The island has two villages, one road and no bridge to the mainland.
He counted the money again, and again there was too little of it.
The teacher drew a circle on the board and divided it into eight parts.
Behind the curtain stood a narrow bed, a chair and a lamp.
The first snow of the year fell on the last day of October.
Nobody in the village remembered who had built the tower, or why.
If you hear the alarm, leave the building at once and do not use the lift.
The river was so low that you could see the stones of the old bridge.
She learned to sail before she learned to ride a bicycle.
All the evidence points in the same direction, but evidence has been wrong before.
The bakery on the corner sells the best bread in the city.
His hands were shaking when he unfolded the telegram.
And so, in the end, the three sisters went home by the same road on which they had come."""

OTHERS = {
    "es": """\
La marea bajó y nadie la vio marcharse.
Ella cerró la puerta con cuidado y subió la escalera.
¿Dónde has estado toda la tarde?
El tren para Sevilla sale del andén cuatro.
Nadie había vivido en la casa durante más de cuarenta años.
Mi hermano arregla bicicletas en un taller detrás de la iglesia.
La biblioteca abre a las diez y cierra a las seis.
Un barco pequeño pasó despacio por delante del muelle.
Los niños se reían y el perro ladraba sin motivo.
Si la batería está vacía, conecte el cargador y espere la luz verde.
El capitán miró el mapa, después las nubes, y no dijo nada.
La primera nieve del año cayó el último día de octubre.""",
    "fr": """\
La mer se retira, et personne ne la vit partir.
Elle ferma la porte doucement et monta l'escalier.
Où étais-tu pendant tout l'après-midi ?
Le train pour Marseille part de la voie quatre.
Personne n'avait habité la maison depuis plus de quarante ans.
Mon frère répare des vélos dans un atelier derrière l'église.
La bibliothèque ouvre à dix heures et ferme à six heures.
Un petit bateau passait lentement devant le quai.
Les enfants riaient, et le chien aboyait sans raison.
Si la batterie est vide, branchez le chargeur et attendez la lumière verte.
Le capitaine regarda la carte, puis les nuages, et ne dit rien.
La première neige de l'année tomba le dernier jour d'octobre.""",
    "it": """\
La marea si ritirò, e nessuno la vide andare via.
Lei chiuse la porta piano e salì le scale.
Dove sei stato tutto il pomeriggio?
Il treno per Firenze parte dal binario quattro.
Nessuno aveva abitato nella casa per più di quarant'anni.
Mio fratello ripara biciclette in un'officina dietro la chiesa.
La biblioteca apre alle dieci e chiude alle sei.
Una piccola barca passava lentamente davanti al molo.
I bambini ridevano e il cane abbaiava senza motivo.
Se la batteria è vuota, collegate il caricatore e aspettate la luce verde.
Il capitano guardò la carta, poi le nuvole, e non disse nulla.
La prima neve dell'anno cadde l'ultimo giorno di ottobre.""",
    "pt-br": """\
A maré baixou e ninguém a viu partir.
Ela fechou a porta com cuidado e subiu a escada.
Onde você esteve durante toda a tarde?
O trem para Campinas sai da plataforma quatro.
Ninguém tinha morado na casa por mais de quarenta anos.
Meu irmão conserta bicicletas em uma oficina atrás da igreja.
A biblioteca abre às dez e fecha às seis.
Um barco pequeno passou devagar em frente ao cais.
As crianças riam e o cachorro latia sem motivo.
Se a bateria estiver vazia, ligue o carregador e espere a luz verde.
O capitão olhou o mapa, depois as nuvens, e não disse nada.
A primeira neve do ano caiu no último dia de outubro.""",
    "hi": """\
आज सुबह से बारिश हो रही है।
उसने धीरे से दरवाज़ा बंद किया।
तुम सारी दोपहर कहाँ थे?
मेरा भाई साइकिल की मरम्मत करता है।
पुस्तकालय दस बजे खुलता है।
बच्चे हँस रहे थे और कुत्ता भौंक रहा था।
इस घर में चालीस साल से कोई नहीं रहा।
नदी के किनारे एक छोटी नाव खड़ी थी।
मुझे एक गिलास पानी चाहिए।
वह हर शाम सीढ़ियाँ चढ़ता है।
कल हम बाज़ार जाएँगे।
यह किताब बहुत पुरानी है।""",
}

SENTENCES: Mapping[str, Sequence[str]] = {
    "en": ENGLISH.splitlines(),
    **{tag: text.splitlines() for tag, text in OTHERS.items()},
}
