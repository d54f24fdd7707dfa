"""Hundreds of spellings of a film's genre, read as one of eighteen."""

import re
from collections.abc import Iterable

from plotwright.cleaning import clean_text

UNKNOWN = "unknown"

# What each genre's words are. A word or phrase stands in one place only; blanks stand for hyphens too.
WORDS = {
    "action": """
        action, martial arts, kung fu, kungfu, karate, gun fu, samurai, chambara, chanbara, wuxia,
        wu xia, swordplay, ninja, superhero, superheroes, masala, vigilante, stunt, chase, actioner, mass,
        blaxploitation, racing
    """,
    "adventure": """
        adventure, adventures, adventurer, swashbuckler, swashbuckling, jungle, pirate, pirates, safari, treasure
        hunt, lost world, expedition, nautical, exploration
    """,
    "animation": """
        animation, animated, anime, cartoon, cartoons, claymation, stop motion, cgi, puppet, puppets, merrie
        melodies, looney tunes
    """,
    "comedy": """
        comedy, comedies, comic, comedic, comical, commedy, comdey, dramedy, dramady, farce, satire, satirical,
        satiric, parody, spoof, slapstick, screwball, mockumentary, humor, humour, humorous, buddy, stoner,
        tragicomedy, sketch, rom com, romcom, burlesque
    """,
    "crime": """
        crime, criminal, gangster, gangsters, gang, mafia, mob, mobster, yakuza, triad, triads, heist, caper,
        police, cop, noir, prison, underworld, robbery, legal, courtroom, court, juvenile delinquency, delinquent,
        drug, drugs, poliziotteschi, outlaw, serial killer
    """,
    "family": """
        family, children, childrens, children's, kids, kid's, child, holiday, christmas, animal, animals
    """,
    "fantasy": """
        fantasy, fantastic, fantastical, fairy tale, fairytale, fairy, mythology, mythological, myth, mythic,
        legend, folklore, magic, magical, magical realism, magic realism, sorcery, surreal, arabian nights,
        devotional, mahabharata, ramayana
    """,
    "historical": """
        historical, history, historic, period, costume, epic, biopic, biographical, biography, bio pic, bio,
        biblical, peplum, sandal, jidaigeki, jidai geki, patriotic, nationalist, dynasty, medieval, ancient,
        independence, colonial, partition, prehistoric
    """,
    "horror": """
        horror, horor, slasher, ghost, ghosts, supernatural, paranormal, occult, demon, demonic, vampire, vampires,
        zombie, zombies, werewolf, monster, gothic, giallo, splatter, gore, found footage, cannibal, j horror,
        exorcism, witchcraft, creature
    """,
    "musical": """
        musical, musicals, musical comedy, music, opera, operetta, operatic, dance, dancing, revue, concert, ballet,
        rock, punk, pop, jazz, hip hop, filmi, cabaret, vaudeville, variety, jukebox
    """,
    "mystery": """
        mystery, mysteries, mysterious, whodunit, whodunnit, detective, sleuth, murder, investigation, investigative
    """,
    "romance": """
        romance, romantic, romances, romatic, romace, romanace, romantical, love, love story, love triangle,
        lovestory, erotic, erotica, marriage
    """,
    "science fiction": """
        science fiction, sci fi, scifi, sf, science fantasy, sci, space, space opera, alien, aliens, cyberpunk,
        steampunk, dystopian, dystopia, post apocalyptic, apocalyptic, futuristic, time travel, kaiju, mecha, robot,
        tokusatsu, super sentai, kamen rider, ultraman, godzilla, techno, speculative
    """,
    "thriller": """
        thriller, thrillers, thriler, triller, thrilling, suspense, suspenseful, suspence, spy, spies, espionage,
        spy fi, james bond, bond, conspiracy, disaster, survival, hostage, kidnapping, terrorism, psycho, eurospy,
        psy
    """,
    "war": """
        war, wartime, military, army, navy, naval, submarine, aviation, pow, world war, wwi, wwii, ww1, ww2, ww ii,
        resistance, anti war, air force, combat, battle, vietnam
    """,
    "western": """
        western, westerns, cowboy, cowboys, wild west, frontier, oater
    """,
    # Weak: any other genre named beside it says more.
    "drama": """
        drama, dramas, dramatic, dram, dramma, darma, docudrama, docu drama, docufiction, melodrama, melodramatic,
        tragedy, tragic, social, societal, socio, political, politics, psychological, sport, sports, boxing,
        football, cricket, baseball, basketball, wrestling, religious, christian, islamic, faith, spiritual, coming
        of age, teen, teenage, youth, student, school, college, literary, literature, shakespearean, medical,
        hospital, slice of life, realist, realistic, neo realist, neorealist, rural, village, urban, lgbt, gay,
        lesbian, queer, feminist, road, sexploitation, exploitation, sex, sexual, softcore, adult, pink, pinku,
        pornographic, porn, counterculture, philosophical, existential, inspirational, motivational, emotional,
        sentimental, tearjerker, soap opera, emigration
    """,
    # Weaker still: forms and markets, which are no genres.
    UNKNOWN: """
        unknown, documentary, docu, short, shorts, silent, serial, series, feature, experimental, avant garde, art,
        arthouse, art house, independent, indie, cult, anthology, omnibus, portmanteau, compilation, propaganda,
        educational, instructional, television, tv, remake, sequel, film, movie, video, newsreel, actuality,
        travelogue, race, parallel, commercial, new wave, mainstream, dubbed, bilingual, multilingual, 3d, various,
        other
    """,
}
GENRES = (*sorted(genre for genre in WORDS if genre != UNKNOWN), UNKNOWN)
_WEAK = ("drama", UNKNOWN)


def _table() -> dict[str, str]:
    """Every word and phrase of WORDS, with its genre."""
    return {" ".join(word.split()): genre for genre, words in WORDS.items() for word in words.split(",")}


_GENRE_OF = _table()
_LONGEST_FIRST = sorted(_GENRE_OF, key=lambda word: (-len(word), word))
_WORD = re.compile(r"\b(?:" + "|".join(map(re.escape, _LONGEST_FIRST)) + r")\b")
_SEPARATOR = re.compile(r"[/,;&|+\n•·]|\b(?:and|with|cum)\b")
_NOT_A_WORD = re.compile(r"[^\w/,;&|+\n•·']+|_")


def read_genres(raw: str) -> list[list[str]]:
    """The genres that each part of a raw spelling names, in the order written; a part ends at a comma, slash, "and"...

    "romantic comedy/crime drama" gives [["romance", "comedy"], ["crime", "drama"]].
    """
    text = _NOT_A_WORD.sub(" ", clean_text(raw).casefold())
    return [[_GENRE_OF[word] for word in _WORD.findall(part)] for part in _SEPARATOR.split(text)]


def normalise_genre(raw: str) -> str:
    """One of GENRES for a raw spelling.

    1. The spelling is cut into parts at commas, slashes, "&" and "and".
    2. In a part the last genre named counts, as in English the last noun says what a thing is: a "romantic comedy" is
       a comedy, a "comedy western" a western.
    3. The first part that names a genre counts: "action/comedy" is action.
    4. "drama" yields to every other genre, since it says the least: "crime drama" and "drama, crime" are crime.
       Forms such as "short", "silent" or "documentary" name no genre at all.
    """
    parts = read_genres(raw)
    for part in parts:
        strong = [genre for genre in part if genre not in _WEAK]
        if strong:
            return strong[-1]
    return "drama" if any("drama" in part for part in parts) else UNKNOWN


def unread_spellings(raws: Iterable[str]) -> list[str]:
    """The raw spellings in which not a word was recognised, blank ones aside."""
    return [raw for raw in raws if raw.strip() and not any(read_genres(raw))]
