"""What ends in a full stop and ends no sentence, by language: abbreviations and ordinal numbers.

The lists of CLDR (cldr.json, which names its source and licence) cover seven languages thinly; those below add what
books of the twenty most used languages are full of. Written in lower case, an abbreviation counts in either case. Where
it could be a word that ends a sentence too, the next word decides: `STARTERS` are the words that begin sentences and,
with a capital, stand nowhere else. When in doubt there is no cut, because a missing one only costs evenness.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Of languages in which a number with a full stop is an ordinal: "im 19. Jahrhundert", "1. FC", "II. Dünya Savaşı".
_ORDINAL = _words("""
    bs cs da de et eu fi fo hr hu is lb lt lv mk nb nds nn no pl sk sl sr tr
""")

# Followed by what they announce: titles, streets, "see", "about". Each counts in the languages whose list has it.
_NEVER = _words("""
    i.e. e.g. cf. vs. viz. mr. mrs. ms. dr. prof. st. sr. sra. z.b. d.h. u.a. bzw. vgl. m.in. np. t.ex. p.ex. o.a. bijv.
    bl.a. f.eks. dvs. d.v.s. т.е. т.к. напр. approx. ca. c. incl. esp. messrs. rev. hon. gen. col. maj. capt. lt. sgt.
    gov. sen. mt. ft. dept. hr. hrn. fr. frl. fam. fa. hl. ing. dipl. nr. bd. str. tel. evtl. ggf. inkl. exkl. zzgl.
    max. min. sog. ehem. geb. kath. ev. m. mm. mme. mmes. mlle. mlles. mgr. me. sté. vve. cie. av. pl. rte. env. ste.
    sres. sras. srta. dra. gral. cnel. tte. sto. sta. mons. rvdo. d. dña. avda. pza. ctra. núm. aprox. lic. arq. ud.
    sig. sigg. sig.ra sig.na dott. dott.ssa prof.ssa avv. geom. rag. on. don. v.le c.so p.za sec. exmo. exma. eng. pe.
    pça. trav. al. séc. mevr. dhr. mw. mej. drs. ir. ds. jhr. d.w.z. zgn. i.p.v. m.b.t. t.a.v. kl. jfr. jf. ang. vedr.
    skt. sct. frk. im. ks. św. inż. hab. płk. mjr. kpt. por. abp. bp. ul. os. tzn. tzw. tj. zob. ok. pt. pw. woj. godz.
    tys. mln. sv. mudr. judr. phdr. rndr. bc. tzv. nám. tř. popř. resp. cca. č. napr. npr. см. ср. им. ул. просп. пер.
    пл. оз. г-н. г-жа. гр. тов. акад. проф. доц. св. кн. т.н. ім. вул. див. sn. doç. yrd. hz. örn. bkz. cad. sok. mah.
    op. डॉ. श्री. श्रीमती. सुश्री. प्रो. पं. स्व. κ. κα. δρ. καθ. π.χ. δηλ. βλ. πρβλ. σελ. αγ. λεωφ. οδ. esim. vrt. ts.
    klo. noin. n. tri. hra. rva. ifj. özv. szt. ld. vö. kb. ún. dl. dna. dnul. sf. șos. bul. ড. ডা. মো. திரு. திருமதி.
    டாக்டர். డా. శ్రీ. ప్రొ. प्रा. ડૉ. શ્રી. ಡಾ. ಶ್ರೀ. ഡോ. ശ്രീ. burg. weth. kard. luit. serg. bł. śp. prem. prez.
    przew. prok. sędz. rtm. pdte. dep. pres. kapt. løjtn. løytn. löjtn. doc. lekt. архиеп. митр. еп. прот. преп.
    подполк. гр-ка. гр-н. зам. нач. дир. имп. вел. о-в. п-ов. респ. г-ца. д-р. єп. архієп. підполк. bulv. opr. uzm. br.
    hg. arhim. letjen. mayjen. sgto. kgs. wachm. plut. gal. exa.
""")
_BEFORE_NUMBERS = _words("""
    no. nos. apt. n. nr. nrs. num. núm. p. pp. pg. pag. pág. págs. s. str. art. fig. figs. vol. vols. ch. chap. cap.
    sec. par. bd. kap. abb. ust. rozdz. č. čl. obr. стр. с. рис. гл. ст. п. т. σελ. αρ. εικ. sf. bkz. kl. sid. lk. nro.
    sz. pls. fl. inc. разд. прил. дод. факс. моб. böl. bl. et. ap. sc. fasc. lám. tab. taf. avd. nov.
""")

_MORE = {
    "en": """
        mr. mrs. ms. dr. prof. st. ste. rev. hon. gen. col. maj. capt. lt. sgt. cpl. cmdr. adm. gov. sen. rep. pres.
        supt. jr. sr. esq. messrs. mme. mlle. mt. ft. rd. ave. blvd. inc. ltd. co. corp. bros. llc. dept. univ. assn.
        ed. eds. vol. vols. ch. chap. fig. figs. sec. pt. pp. cf. vs. viz. al. approx. etc. ibid. op. cit. trans. orig.
        repr. esp. incl. misc. temp. min. max. sq. lb. lbs. oz. hr. hrs. yr. yrs. mi. km. mph. a.m. p.m. i.e. e.g. ca.
        c. v. Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. Mon. Tue. Tues. Wed. Thu. Thurs. Fri. Sat.
        Sun. Calif. Mass. Penn. Conn. Mich. Minn. Miss. Tenn. Tex. Va. Wash. Wis. Fla. Ga. Ky. La. Md. Ont. Que. N.Y.
        apt. pls. chs. fr. pte. pvt. pfc. brig. insp. det. amb. treas. atty. d.d. est. hwy. pkwy. pl. ter. ln. ct. bldg.
        rm. fl. govt. intl. natl.
    """,
    "de": """
        dr. prof. dipl. ing. hr. hrn. fr. frl. st. nr. bd. bde. hrsg. aufl. abs. art. abb. kap. bzw. ca. evtl. ggf.
        inkl. exkl. zzgl. usw. usf. etc. sog. vgl. z. d. u. o. v. n. chr. str. pl. jh. jhd. jhdt. jahrh. geb. gest.
        verh. verw. ehem. eigtl. bsp. bspw. bes. allg. insb. insbes. max. min. mind. mio. mrd. tsd. std. sek. tel. fa.
        gmbh. gen. geh. anm. ff. f. rd. österr. schweiz. lat. griech. engl. frz. ital. russ. hl. ev. kath. röm. gebr.
        jun. sen. red. zit. ebd. a. b. h. i. m. Jan. Feb. Apr. Aug. Sept. Okt. Nov. Dez. Mo. Di. Mi. Do. Fr. Sa. So.
        mult. freundl. herzl. bhf. hbf. stgt. bgm. obgm. präs. kfm. kfr. stv. stellv. vors. vorm. nachm. univ. lt. kl.
        unt. nördl. südl. östl. westl. dgl. ders. desgl. einschl. ausschl. zw. jur. rer. nat. theol. habil. obfw. hptm.
        oblt. insp. anl. kpl. ztr. pfd. sr. kgl.
    """,
    "fr": """
        m. mm. mme. mmes. mlle. mlles. dr. drs. pr. prof. me. mes. mgr. st. ste. sts. stes. cie. av. bd. boul. pl. rte.
        fg. no. nos. vol. chap. p. pp. éd. éds. fig. art. al. cf. ex. etc. env. apr. ap. hab. tél. réf. vs. ibid. op.
        cit. id. trad. coll. t. sq. sqq. suiv. gén. col. cap. lt. sgt. cdt. adj. amb. min. max. m.m. ch. j.-c. J.-C.
        N.D. S.A.R. R.P. a.m. p.m. sté. vve. fbg. imp. all. mss. m.a.j. n.d.l.r. r.-v. janv. févr. avr. juil. juill.
        oct. nov. déc. bld. résid. bât. esc. ét. dépt. prés. dir. secr. admin. ltn. maj. brig. adm. card. arch. p.-s.
        rem. not. obs. mus. bibl. univ. inst. assoc. soc. ets. éts. bulg. ital. angl. allem. lat. gr.
    """,
    "es": """
        sr. sra. sres. sras. srta. srtas. dr. dra. dres. d. dª. dña. dn. prof. profa. lic. ing. arq. gral. cnel. cap.
        tte. sto. sta. fr. mons. rvdo. ud. uds. vd. vds. av. avda. avd. c. pl. pza. pº. ctra. edif. núm. nº. n.º. pág.
        págs. p. pp. vol. vols. caps. art. fig. ed. eds. etc. ej. aprox. máx. mín. tel. teléf. cía. s.a. ee.uu. EE.UU.
        a.c. d.c. a.m. p.m. s. ss. sig. vs. cf. op. cit. izq. dcha. dpto. depto. admón. ene. feb. abr. ago. sept. oct.
        nov. dic. km. kg. hnos. jr. pdte. pdta. vda. gob. min. dir. secr. subdir. dip. sen. alc. comte. cmdte. sgto.
        alm. excmo. excma. ilmo. ilma. rvda. card. arz. ob. pbro. hno. hna. urb. blvr. bulev. pje. esq. apdo. cód. párr.
        lám. tab. núms. ref. trad. introd. fasc. univ. fac. inst. tfno. bco. gta. calz. edo.
    """,
    "it": """
        sig. sigg. sig.ra. sig.na. sigra. dott. dott.ssa. dottssa. prof. prof.ssa. profssa. avv. ing. arch. geom. rag.
        on. mons. don. ecc. es. pag. pagg. p. pp. vol. voll. cap. capp. art. artt. fig. figg. n. nn. nr. ed. cfr. ca.
        tel. all. c.so. p.za. v.le. v. s. ss. san. gen. col. ten. serg. magg. amm. cav. comm. egr. gent. spett. rev.
        sen. a.c. d.c. a.m. p.m. min. max. dic. nov. ott. sett. ago. lug. giu. apr. feb. sec. secc. op. cit. trad. ibid.
        s.p.a. s.r.l. f.lli mag. ill.mo. ill.ma. ill. gent.mo. gent.ma. chiar.mo. rev.mo. pres. vicepres. segr. dir.
        amb. card. arciv. vesc. lgo. l.go. b.go. str. loc. fraz. prov. dep. univ. ist. brig. mar.llo. ammin. soc. ditt.
        inc. tav. tab. accr. int. pal.
    """,
    "pt": """
        sr. sra. srs. sras. srta. dr. dra. drs. dras. d. prof. profa. profs. eng. arq. gen. cel. cap. ten. sgt. alm.
        brig. maj. pe. fr. mons. sto. sta. s. av. r. pça. pç. al. rod. trav. tv. lg. n. nº. núm. pág. págs. p. pp. vol.
        vols. caps. art. arts. fig. figs. ed. eds. etc. ex. aprox. máx. mín. tel. cia. ltda. s.a. a.c. d.c. a.m. p.m.
        obs. cf. op. cit. jan. fev. abr. mai. jun. jul. ago. set. out. nov. dez. séc. sécs. exmo. exma. ilmo. ilma.
        v.ex.a. jr. exa. sa. gal. sgto. gov. dep. pres. min. pref. sec. dir. emb. inc. fl. fls. lib. liv. card. arc.
        bisp. depto. dept. univ. inst. soc. vis. cond. des. insp. esc. edif. bl. apto. ap. cj. est. zn. m.mo. il.mo.
        ex.mo. ex.ma. eng.º. eng.a. prof.a. dr.a. sr.a.
    """,
    "nl": """
        dhr. mevr. mw. mej. dr. drs. mr. ir. ing. prof. ds. st. jhr. jkvr. bv. bijv. o.a. d.w.z. m.a.w. t.a.v. i.p.v.
        m.b.t. n.a.v. blz. pag. p. nr. nrs. art. hfst. fig. afb. ca. circa. etc. enz. evt. excl. incl. jl. ll. resp.
        tel. vgl. zgn. zog. a.d. v.d. gebr. geb. gest. red. vert. max. min. mln. mrd. str. jan. feb. mrt. apr. aug.
        sept. okt. nov. dec. v.chr. n.chr. chr. gen. kol. kapt. lt. sgt. jr. sr. a.u.b. z.o.z. mgr. em. m. fam. kard.
        burg. weth. prem. prov. gouv. maj. luit. serg. korp. adm. secr. penningm. wnd. wed. uitg. uitgev. bew. inl. gld.
        km. gem. dept. dir. pres. vicepres. amb. cons. hoogl. lic. cand. advoc. insp. comm. br. zr. z.em. e.h. z.h.
        aant. opm. vb. vbn. bijl. par. bl. reg. tab. ill. dln. afl. jrg. jg. bibl. ned. fr. lat. gr. hs. hss. ald. ong.
        plm. m.n. tgov.
    """,
    "sv": """
        t.ex. ex. bl.a. bl. m.fl. fl. m.m. d.v.s. dvs. s.k. f.d. fr.o.m. t.o.m. o.s.v. osv. etc. kl. nr. s. sid. st. dr.
        prof. hr. fr. kap. fig. ca. c:a. jfr. jämf. ev. inkl. exkl. resp. tel. kr. milj. mn. tr. max. ung. bil. forts.
        gm. m.a.o. p.g.a. pga. obs. ons. tis. tors. fre. lör. sön. jan. feb. febr. apr. aug. sept. okt. nov. dec. f.kr.
        e.kr. red. övers. uppl. f.ö. m.a. o.d. e.d. kand. mag. lic. tekn. civ. löjtn. lt. öv. övlt. kapt. doc. lekt.
        förf. utg. avd. tab. bd. km. bisk. kyrkoh. past. dir. ing. adv. ordf. sekr. gen. adj. eng. grek. förk.
    """,
    "da": """
        f.eks. eks. bl.a. bl. m.fl. m.m. m.v. mv. d.v.s. dvs. o.s.v. osv. etc. kl. nr. s. st. sct. skt. dr. prof. hr.
        fr. frk. kap. fig. ca. jf. jfr. evt. inkl. ekskl. hhv. tlf. kr. mio. mia. tr. max. maks. pga. p.g.a. f.kr. e.kr.
        jan. feb. apr. aug. sept. okt. nov. dec. red. overs. udg. bd. gl. ndr. sdr. vedr. pkt. stk. afs. adj. lekt. sml.
        kgs. kapt. gen. løjtn. premierltn. oberstlt. lt. sgt. adv. dir. ing. cand. mag. phil. jur. stud. past. bisk.
        kbh. ngr. pol. mdr. sek. ang. forf. forl.
    """,
    "nb": """
        f.eks. eks. bl.a. bl. m.fl. m.m. m.v. mv. dvs. d.v.s. osv. o.s.v. etc. kl. nr. s. st. dr. prof. hr. fr. frk.
        kap. fig. ca. jf. jfr. evt. inkl. ekskl. hhv. tlf. kr. mill. mrd. tr. maks. pga. f.kr. e.kr. jan. feb. apr. aug.
        sept. okt. nov. des. red. overs. utg. bd. gl. ang. vedr. pkt. avd. adm. dir. gen. kapt. lt. sgt. moh. kgl.
        løytn. oblt. adv. ing. cand. mag. sivilark. past. bisk. vedl. pr. mnd. sek. forf. forl. ndr. sdr. univ. lekt.
    """,
    "pl": """
        im. ks. św. dr. prof. mgr. inż. hab. doc. lek. med. płk. ppłk. mjr. kpt. por. ppor. gen. sierż. kpr. abp. bp.
        kard. o. br. s. p. pp. pani. al. ul. pl. os. nr. np. m.in. in. tzn. tzw. tj. itd. itp. etc. ok. ur. zm. zob.
        wyd. red. oprac. tłum. przeł. t. rozdz. str. ss. rys. tab. ust. art. pkt. poz. par. dot. wg. ww. jw. ds. min.
        max. maks. tys. mln. mld. godz. sek. tel. woj. pow. gm. m. st. r. w. n.e. p.n.e. pn. wsch. zach. płd. płn. zł.
        gr. szt. dyr. zast. mec. adw. pt. pw. pseud. ps. dn. sp. bł. śp. wz. up. prez. prem. wicemin. wiceprez. przew.
        sędz. prok. not. rtm. wachm. plut. szer. adm. kadm. wadm. kmdr. bryg. chor. asp. podkom. nadkom. insp. bm. arch.
        wet. piel. skw. bulw. wzg. nw. zw. cyt. cz. faks. kom. nacz. kier. sekr. fil. teol. prał. wik. mons. kl. il.
        ilustr. ed. nast. rkps. sygn. posł. zbior. ang. niem. franc. fr. łac. wł. hiszp. czes. zagr. stoł. obw. rb. ub.
        r.b. śr. czw. sob. niedz. pon. wt.
    """,
    "cs": """
        např. tzv. tzn. tj. atd. atp. apod. aj. mj. resp. event. popř. příp. cca. č. čís. čp. str. s. sv. kap. obr. tab.
        odst. čl. ul. nám. tř. p. pí. sl. dr. mudr. judr. phdr. rndr. ing. mgr. bc. prof. doc. csc. drsc. gen. plk.
        pplk. mjr. kpt. por. npor. ppor. rtm. st. ml. nar. zem. r. l. stol. př. n. kr. kč. tis. mil. mld. min. max. hod.
        tel. red. vyd. překl. pozn. sev. již. vých. záp. viz. arch. bl. fa. nábř. spol. akad. asist. mistr. ředit.
        předs. místopř. posl. prez. kard. bisk. farn. kn. hr. markr. cís. šlech. žup. okr. obv. č.p. sídl. písm. příl.
        ed. il. něm. fr. angl. lat. řec. rus.
    """,
    "sk": """
        napr. tzv. tzn. tj. t.j. atď. apod. pod. resp. príp. cca. č. čís. str. s. sv. kap. obr. tab. ods. čl. ul. nám.
        p. sl. dr. mudr. judr. phdr. ing. mgr. bc. prof. doc. gen. plk. mjr. kpt. por. st. ml. nar. r. stor. pr. n. l.
        tis. mil. mld. min. max. hod. tel. arch. bl. fa. nábr. spol. akad. asist. riad. preds. posl. prez. kard. bisk.
        kn. okr. písm. príl. pozn. angl. nem. fr. lat. gréc. rus. tal. špan.
    """,
    "ru": """
        г. гг. в. вв. д. т. п. пп. др. пр. и. см. ср. напр. им. ул. просп. пер. пл. наб. бул. р. о. оз. г-н. г-жа. гр.
        тов. акад. проф. доц. канд. д-р. ген. полк. кап. лейт. серж. св. стр. с. табл. гл. ст. тт. ч. кн. изд. ред.
        прим. сб. вып. руб. коп. тыс. млн. млрд. км. кг. мин. сек. тел. янв. февр. мар. апр. авг. сент. окт. нояб. дек.
        н.э. т.е. т.к. т.н. т.д. т.п. и.о. э. н. обл. р-н. пос. дер. корп. кв. англ. фр. франц. лат. греч. рус. пр-т.
        пр-д. б-р. ш. туп. ал. кв-л. мкр. гр-н. гр-ка. гр-не. граж. асп. подполк. ряд. ефр. адм. вице-адм. контр-адм.
        мл. свв. прп. преп. архиеп. митр. еп. прот. архим. иером. патр. ап. мч. блгв. разд. прил. сост. авт. худ. илл.
        о-в. о-ва. п-ов. хут. х. сл. ст-ца. респ. зам. нач. дир. пред. секр. деп. завед. зав. упр. инсп. чл. чл.-корр.
        факс. моб. соч. собр. имп. кор. вел. герц. виц. ок. нем. исп. ит. итал. польск. укр. яп. араб. евр. санскр.
        ст.-слав. изв. неизв. перен. разг. устар. сокр. урожд. псевд. наст. проч. прибл. макс. ж.-д. ж.д. м.б. сев. юж.
        вост. зап. пгт. станц. долл. шт. экз. л. лл. об. рис. ил. сх. вкл. цит. соотв. предисл. послесл. коммент. паг.
        кат. ун-т. ин-т. ф-т. каф. лаб. бывш.
    """,
    "uk": """
        р. рр. ст. ін. т. п. др. ім. вул. просп. пров. пл. бул. м. с. смт. обл. р-н. о. оз. див. напр. гр. тов. акад.
        проф. доц. канд. д-р. ген. полк. кап. св. стор. табл. гл. розд. ч. кн. ред. пер. прим. зб. вип. грн. коп. тис.
        млн. млрд. км. кг. хв. год. сек. тел. нар. пом. січ. лют. бер. квіт. трав. черв. лип. серп. вер. жовт. груд.
        н.е. т.д. т.п. е. англ. нім. фр. лат. укр. рос. зокр. митр. єп. архієп. прот. сот. підполк. лейт. серж. адм.
        дод. іл. авт. упоряд. уклад. вид-во. ун-т. ін-т. каф. респ. зам. нач. дир. гол. секр. деп. зав. чл. чл.-кор.
        факс. моб. зібр. імп. кор. герц. гетьм. ісп. італ. польськ. грец. яп. прибл. макс. півн. півд. сх. зах. бульв.
        пр-т. буд. кв. корп. б-р. узв. хут. о-в. п-ів. п-ов. добр. бл. пр. преп. свт. мч. ап. шт. арк. вказ.
    """,
    "bg": """
        г-н. г-жа. г-ца. д-р. проф. доц. инж. арх. акад. чл. ген. полк. кап. лейт. серж. св. свв. еп. митр. архим. ул.
        бул. пл. ж.к. бл. вх. ет. ап. гр. с. обл. общ. р. вр. стр. гл. т. ал. рис. табл. фиг. вж. срв. напр. т.е. т.нар.
        т.н. др. пр. ок. год. г. в. вв. хил. млн. млрд. лв. ст. км. кг. мин. сек. тел. ред. изд. прев. нар. ян. февр.
        апр. авг. септ. окт. ноем. дек. н.е. пр.н.е. англ. нем. фр. лат. рус.
    """,
    "tr": """
        dr. prof. doç. yrd. öğr. gör. av. sn. müh. mim. ecz. op. alb. yb. bnb. yzb. tğm. gen. org. korg. tuğg. hz. st.
        no. nr. cad. sok. sk. mah. mh. apt. bl. vb. vs. vd. v.b. örn. bkz. krş. yy. s. ss. sf. c. çev. haz. ed. md. fık.
        tel. fak. üniv. ens. ltd. şti. a.ş. t.c. m.ö. m.s. i̇.ö. ort. maks. min. dk. ing. fr. alm. lat. ar. far. ör.
        bulv. böl. uzm. opr. arş. bşk. müd. asst. ütğm. koram. tüma. astsb. uzmç. çvş. onb. dz. hv. kd. gnkur. muh. dek.
        bls. ilç. sy. şek. tab. hzl. agm. nu. isp. osm. i̇ng. i̇t. i̇sp.
    """,
    "vi": """
        ts. ths. pgs. gs. bs. ks. cn. gv. ls. tp. tt. tx. q. p. h. t. tr. nxb. ubnd. đ. đ/c. v.v. vd. stt. đt. st. dr.
        mr. mrs. ms. prof. ns. nsnd. nsưt. gd. gđ. pgđ. ub. đh. thpt. thcs. kcn. tnhh. cp. bv. kp. kđt. t.p. đ.c. đc.
        sđt. ct. ctn. bt. tbt. cvp. đ/ồ.
    """,
    "id": """
        dr. drs. dra. ir. prof. h. hj. kh. st. tn. ny. nn. sdr. sdri. bpk. yth. jl. gg. jln. no. hlm. hal. ttd. tgl.
        dll. dsb. dst. dkk. a.n. u.p. d.a. u.b. s.d. a.l. kec. kab. kel. prov. rp. tbk. pt. cv. ltd. dr.h.c. kol.
        letkol. kapt. jend. brigjen. letjen. mayjen. laks. laksda. marsda. let. lettu. letda. sertu. serda. gub. bup.
        kades. pdt. ust. ustz. k.h. mr. ph. dn. dirjen. dir. komp. rt. rw. kamp. psr. gn. tj. p. telp. faks. jan. feb.
        apr. agt. ags. sep. sept. okt. nov. des. lamp. gbr. tab. terj. ed. peny. penerj. bdk. lih. y.l. y.a.d. ybs. tsb.
    """,
    "hi": """
        डॉ. डा. श्री. श्रीमती. सुश्री. कु. प्रो. पं. स्व. सं. पृ. रु. कि.मी. किमी. ई. ई.पू. उदा. क्र. मो. मि. वि. वि.सं.
        शा. ए. बी. सी. डी. एम. एन. के. पी. एस. आर. जी. एल. वी. इंजी. एड. अधि. ले. कै. ब्रि. मेज. न्या. प्रा. संपा. अनु.
        प्रका. नं. सेमी. से.मी. मिमी. ग्रा. किग्रा. कि.ग्रा. सेक. अक्टू.
    """,
    "ar": """
        د. أ. م. ص. ج. ط. هـ. ق. ه. ت. س. ش. ب. أ.د. ق.م. ص.ب. إلخ.
    """,
    "el": """
        κ. κα. κος. δρ. δρα. καθ. π.χ. δηλ. κ.λπ. κλπ. κτλ. κ.ά. κ.α. π.μ. μ.μ. μ.χ. βλ. πρβλ. σελ. σ. σσ. αρ. αριθ. τ.
        τόμ. κεφ. εικ. πίν. άρθρ. παρ. εκδ. επιμ. μτφρ. μετ. λεωφ. οδ. πλ. τηλ. αγ. άγ. στρ. ταξ. λοχ. γεν. ιαν. φεβ.
        μαρ. απρ. ιουν. ιουλ. αυγ. σεπτ. οκτ. νοεμ. δεκ. εκ. χιλ. εκατ. δισ. περ. αι. συντ. υπολ. ανθ. λγος. αξ. ναύ.
        αντ. υπ. πρ. υπουρ. πρωθ. δντής. διευθ. γραμμ. δημ. νομ. βουλ. μητρ. επισκ. αρχιμ. παπ. οσ. μον. πανεπ. σχ. τμ.
        εργ. ινστ. υποσ. σημ. παράρτ. παραρτ. εδ. στιχ. τευχ. αρθρ. φφ. έκδ. ό.π. ο.π. μτφ. λατ. αγγλ. γαλλ. γερμ. ιτ.
        τουρκ. κ.κ. κκ. χμ. χλμ. χγρ. δευτ.
    """,
    "fi": """
        esim. mm. ym. yms. jne. eli. ts. ko. em. ks. vrt. nk. ns. n. noin. klo. nro. n:o. s. ss. kpl. kpp. toim. suom.
        tri. prof. dos. dipl. ins. maist. fil. kand. lis. st. hra. rva. nti. kenr. ev. evl. maj. kapt. luutn. v. vv. vs.
        eKr. jKr. ekr. jkr. puh. milj. mrd. tuh. min. maks. t. os. kirj. engl. ruots. saks. lat. ransk. ent. huom. mts.
        oy. yht. vuos. toht. kers. alik. vänr. ylil. lt. amir. komm. kom. tuom. asian. past. piisp. arkkip. kirkkoh.
        johd. pj. siht. pormest. kansanedust. ed. kuv. taul. liit. luk. viit. krs. rak. kk. pv. vk. sek. tunt. vert. sp.
        par. lk.
    """,
    "hu": """
        dr. prof. ifj. id. özv. st. szt. sz. u. ua. ún. pl. stb. vö. ld. kb. old. o. l. köt. szerk. ford. tábl. bek.
        krt. tel. ker. em. fsz. ft. mrd. min. max. kr. i.e. i.sz. i. e. jan. febr. márc. ápr. máj. jún. júl. aug. szept.
        okt. nov. dec. gen. ezr. alez. őrgy. szds. fhdgy. hdgy. törzsőrm. br. gr. hg. hc. bp. kir. csász. püsp. érs.
        bíb. tábk. mjr. okl. dr.-né. dipl. kand. int. ügyv. bev. jegyz. ill. vm. vki. vmi. vh. sk. s.k. rkp. sgt. fszt.
        hrsz. mj. ang. ném. fr. lat. gör. sp.
    """,
    "ro": """
        dl. d-l. dna. d-na. dnul. dra. d-ra. dr. prof. ing. arh. av. acad. conf. lect. asist. gen. col. lt. cpt. mr. sf.
        st. str. bd. bul. cal. șos. al. nr. pag. p. pp. vol. art. alin. lit. fig. ed. trad. etc. ș.a. ș.a.m.d. ex. cca.
        aprox. tel. jud. mun. com. î.hr. d.hr. hr. î.e.n. e.n. sec. ian. feb. febr. mart. apr. aug. sept. oct. noiem.
        nov. dec. min. max. mil. mld. bl. sc. et. ap. sg. slt. plt. gl. cmd. pr. arhim. arhiep. mitr. ep. cuv. pict.
        sculpt. dir. pres. preș. dep. sen. secr. adm. univ. fac. inst. asoc. soc. rep. bdul. bd-ul. b-dul. pta. pța.
        cart. tab. red. op. cit. gr. fr. engl. germ. it.
    """,
    "hr": """
        dr. prof. mr. sv. gosp. gđa. gđica. ing. dipl. akad. npr. tzv. tj. itd. itsl. sl. str. br. čl. st. god. g.
        stolj. pr. kr. po. ul. tel. min. max. mil. mlrd. tis. ur. prev. usp. v. vidi. o. fra. don. mons.
    """,
    "et": """
        dr. prof. nr. lk. jne. jms. jm. s.t. st. s.o. nt. näit. vt. vrd. ca. u. umb. sh. k.a. eKr. pKr. saj. a. aa.
        hr. pr. prl. kpt. kol. maj. tel. tn. pst. mnt. mln. mld. tuh. min. max. peat. toim. tlk.
    """,
    "lv": """
        dr. prof. nr. lpp. utt. u.c. u.tml. tml. piem. sk. t.i. t.s. s.l. g. gs. p.m.ē. m.ē. kdze. kgs. k-gs. k-dze.
        tālr. milj. mljrd. tūkst. min. maks. red. tulk.
    """,
    "lt": """
        dr. prof. doc. nr. psl. p. t.t. pan. pvz. žr. t.y. vad. m. a. g. pr. al. k. raj. apskr. mln. mlrd. tūkst. min.
        maks. red. vert. sav. gyv. tel. kun. šv. gen. plk. mjr. kpt. ltn.
    """,
    "sl": """
        dr. prof. mag. sv. g. ga. gdč. gospod. npr. t.i. tj. itd. ipd. idr. str. št. čl. odst. sl. l. st. pr. kr. po.
        ul. tel. min. maks. mio. mrd. tis. ur. prev. prim. gl. oz. ok. roj. u.
    """,
    "sr": """
        др. проф. мр. св. инж. г. г-ђа. нпр. тзв. тј. итд. сл. стр. бр. чл. ст. год. пр. н.е. ул. тел. прев. dr. prof.
        npr. tzv. tj. itd. str. br. čl. god. g.
    """,
    "ca": """
        sr. sra. srs. dr. dra. prof. sta. st. av. avda. c. pl. pça. núm. pàg. p. pp. vol. cap. art. fig. ed. etc. ex.
        aprox. tel. a.c. d.c. s. ss. cf. gral. cia.
    """,
    "fa": """
        د. ص. ج. ق.م. ه.ش. ه.ق. م. ش. ق.
    """,
    "th": """
        " ดร. ศ. รศ. ผศ. น.ส. ด.ช. ด.ญ. พ.ศ. ค.ศ. ม.ค. ก.พ. มี.ค. เม.ย. พ.ค. มิ.ย.
        ก.ค. ส.ค. ก.ย. ต.ค. พ.ย. ธ.ค. น. ม. อ. จ. ต. ถ. ซ. พล. พล.อ. พล.ต. พ.อ. พ.ต.
        ร.ต. ส.ต. ร.ร. รพ. บจก. บมจ. หจก. กม. ซม. กก. โทร. เลขที่. ก. ข. ค. ง.
    """,
    "bn": "ড. ডা. ডাঃ. মো. মোঃ. প্রফ. ইঞ্জি. সা. রা.",
    "ta": "திரு. திருமதி. டாக்டர். பேரா. கி.மு. கி.பி. எ.கா. எண்.",
    "te": "డా. శ్రీ. శ్రీమతి. ప్రొ. క్రీ.శ. క్రీ.పూ.",
    "mr": "डॉ. श्री. श्रीमती. सौ. प्रा. कै. इ.स. रु. कि.मी.",
    "gu": "ડૉ. ડો. શ્રી. શ્રીમતી. પ્રો. સ્વ. ઈ.સ. રૂ.",
    "kn": "ಡಾ. ಶ್ರೀ. ಶ್ರೀಮತಿ. ಪ್ರೊ. ಕ್ರಿ.ಶ.",
    "ml": "ഡോ. ശ്രീ. ശ്രീമതി. പ്രൊഫ. ക്രി.മു.",
    "ko": """
        no. vol. pp. dr. mr. mrs. ms. prof. st. inc. co. ltd. vs. etc.
    """,
    "ja": """
        no. vol. pp. dr. mr. mrs. ms. prof. st. inc. co. ltd. vs. etc. Mt.
    """,
    "zh": """
        no. vol. pp. dr. mr. mrs. ms. prof. st. inc. co. ltd. vs. etc. Mt.
    """,
}  # fmt: skip

_STARTERS = {
    "en": """
        The A An He She It They We You I This That These Those There Then But And So Yet His Her Its Their
        My Our When While If After Before Because Although Nobody Everyone Not No What Who Why How
    """,
    "de": """
        Der Die Das Ein Eine Er Sie Es Wir Ihr Ich Dieser Diese Dieses Dann Da Und Aber Doch Denn Wenn Als
        Nach Vor Weil Obwohl Sein Seine Niemand Was Wer Warum Wie Danach Dort Hier Nun Jetzt Am Im In An Auf So
    """,
    "fr": """
        Le La Les Un Une Des Il Elle Ils Elles On Nous Vous Je Ce Cette Ces Puis Mais Et Alors Son Sa Ses
        Quand Si Après Avant Personne Qui Que Pourquoi Comment L' Ensuite C' J' D' Qu' S' N'
    """,
    "es": """
        El La Los Las Un Una Él Ella Ellos Ellas Nosotros Yo Este Esta Esto Entonces Pero Y Luego Su Sus
        Cuando Si Después Antes Nadie Qué Quién Cómo No Se
    """,
    "it": """
        Il Lo La I Gli Le Un Una Egli Lui Lei Loro Noi Io Questo Questa Poi Ma E Allora Suo Sua Quando Se
        Dopo Prima Nessuno Che Chi Come Non Si
    """,
    "pt": """
        O A Os As Um Uma Ele Ela Eles Elas Nós Eu Este Esta Isto Então Mas E Depois Seu Sua Quando Se Antes
        Ninguém Que Quem Como Não
    """,
    "nl": """
        De Het Een Hij Zij Ze We Wij Ik Dit Dat Deze Die Toen Maar En Daarna Zijn Haar Als Na Voor Niemand Wat Wie Hoe
        Er Ja Nee Daar Nu Dan Zo
    """,
    "sv": """
        Den Det De En Ett Han Hon Vi Jag Denna Detta Sedan Men Och Då Hans Hennes När Om Efter Innan Ingen
        Vad Vem Hur
    """,
    "da": """
        Den Det De En Et Han Hun Vi Jeg Denne Dette Så Men Og Da Hans Hendes Når Hvis Efter Før Ingen Hvad
        Hvem Hvordan
    """,
    "nb": """
        Den Det De En Et Han Hun Vi Jeg Denne Dette Så Men Og Da Hans Hennes Når Hvis Etter Før Ingen Hva
        Hvem Hvordan
    """,
    "pl": """
        On Ona Ono Oni One My Ja To Ten Ta Te Potem Ale I A Więc Jego Jej Kiedy Gdy Jeśli Po Przed Nikt Co Kto Jak Nie W
        Na Tak Tam Było Teraz Dziś
    """,
    "cs": """
        On Ona Ono Oni My Já To Ten Ta Potom Ale A Tak Jeho Její Když Jestli Po Před Nikdo Co Kdo Jak Ne V
        Na
    """,
    "ru": """
        Он Она Оно Они Мы Я Это Этот Эта Потом Но И А Тогда Его Её Когда Если После Никто Что Кто Как Не В На Да Нет
        Было Там Тут Так Теперь Сегодня Вчера Вот Все
    """,
    "uk": """
        Він Вона Воно Вони Ми Я Це Цей Ця Потім Але І Й А Тоді Його Її Коли Якщо Після Ніхто Що Хто Як Не В На У Так Ні
        Там Було Тепер
    """,
    "bg": """
        Той Тя То Те Ние Аз Ти Това Този Тази После Но И А Тогава Когато Ако След Никой Какво Кой Как Не В На Да
    """,
    "tr": """
        O Bu Şu Onlar Biz Ben Bir Sonra Ama Ve Onun Ne Kim Nasıl Eğer
    """,
    "fi": """
        Hän He Se Ne Me Minä Tämä Sitten Mutta Ja Kun Jos Kukaan Mitä Kuka Miten Ei
    """,
    "hu": """
        A Az Egy Ő Ők Mi Én Ez Aztán De És Amikor Ha Senki Ki Hogyan Nem
    """,
    "ro": """
        El Ea Ei Ele Noi Eu Acest Această Un O Apoi Dar Și Când Dacă După Nimeni Ce Cine Cum Nu
    """,
    "el": """
        Ο Η Το Οι Τα Ένας Μια Αυτός Αυτή Αυτό Εμείς Εγώ Μετά Αλλά Και Όταν Αν Κανείς Τι Ποιος Πώς Δεν
    """,
}  # fmt: skip
_COMPOUNDS = {"de": ("str.",), "nl": ("str.",)}  # of streets: Hauptstr.
_SAME = {"no": "nb", "nn": "nb", "cmn": "zh", "yue": "zh", "bs": "hr"}


@dataclass(frozen=True, slots=True)
class Usage:
    """How one language uses the full stop within sentences."""

    abbreviations: frozenset[str]
    starters: frozenset[str]
    endings: tuple[str, ...]
    ordinals: bool
    dates: bool  # a number and a full stop is a part of a date: "1919. 3. 1."

    def abbreviates(self, token: str) -> bool:
        """Whether a token with its full stop is an abbreviation. "Vol.", "VOL." and "ThS." are where "vol." and
        "ths." are."""
        has_inner_capital = any(map(str.isupper, token[1:]))
        small = token.lower() if has_inner_capital else token[0].lower() + token[1:]
        return token in self.abbreviations or small in self.abbreviations or token.endswith(self.endings)

    def announces(self, token: str, following: str) -> bool:
        """Whether what follows can't be another sentence."""
        small = token.lower()
        return (small in _NEVER and self.abbreviates(token)) or (small in _BEFORE_NUMBERS and following[:1].isdecimal())


@cache
def usage(language: str) -> Usage:
    """Of a BCP 47 tag, or one of eSpeak's names."""
    tag = language.lower().replace("_", "-").partition("-")[0]
    own = _SAME.get(tag, tag)
    listed = json.loads(files("farm.prose").joinpath("cldr.json").read_text("utf-8"))["abbreviations"]
    every = (*listed.get(own, ()), *_MORE.get(own, "").split())
    last_words = frozenset(entry.rpartition(" ")[2] for entry in every)  # "n. Chr." ends in "Chr."
    return Usage(
        last_words, frozenset(_STARTERS.get(own, "").split()), _COMPOUNDS.get(own, ()), tag in _ORDINAL, tag == "ko"
    )
