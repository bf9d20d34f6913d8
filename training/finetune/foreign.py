"""Texts that the project makes itself as examples of what belongs to none of a user's classes.

A model that has learned such texts as a class of its own tells foreign texts from its own much better than one that
only knows its classes. Two kinds together do best. Everyday texts come from a small grammar that asks, tells,
complains, reports and chats about many things. Garbled texts are the user's own without the words that tell the classes
apart. What is foreign for one user is a class for another: what these texts resemble is learned from its own texts all
the same, and a threshold keeps it.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence

_WORDS = {
    "person": "my brother|the president|her teacher|a friend of mine|the king of France|the doctor|our neighbour|"
    "a writer|the old man|that actor|some scientist|the police|my boss|the singer|the mayor|people|nobody|she|he|they",
    "place": "London|the city|Brazil|the mountains|the station|Africa|the office|a small village|the moon|the museum|"
    "New York|the river|the hospital|school|the market|Germany|the ocean|the desert|home|the north",
    "thing": "the engine|a letter|the bridge|this phone|the law|money|the contract|a camera|the church|that book|"
    "the war|water|gold|the machine|the painting|his car|a tree|the newspaper|the report|the ring|blood|the door",
    "animal": "a dog|the cat|an elephant|birds|the horse|a spider|the whale|bees|a snake|the wolf",
    "food": "bread|cheese|a cup of coffee|rice|an apple|chocolate|the soup|fish|beer|salad|the cake",
    "quality": "big|strange|cheap|beautiful|terrible|cold|famous|slow|dangerous|boring|wonderful|old|broken|expensive|"
    "important|quiet|dirty|lucky|wrong|true",
    "feeling": "happy|angry|sad|afraid|tired|bored|proud|sick|jealous|lonely|excited|disgusted|worried|ashamed",
    "act": "bought|lost|found|wrote|built|broke|sold|invented|saw|forgot|hated|loved|discovered|stole|repaired|drew",
    "doing": "swimming|reading|driving|working|dancing|studying|fighting|sleeping|running|cooking|waiting|painting",
    "topic": "football|history|the economy|climate|love|chemistry|religion|politics|mathematics|fashion|the election|"
    "health|art|war|software|taxes|weddings|computers|language",
    "year": "1492|1776|1914|1969|1985|2003|2010|the last century|the winter|March|the seventies|ancient times",
    "number": "two|three|ten|a hundred|a thousand|3|12|40|250|1,000,000|many|a few",
    "unit": "miles|people|years|pounds|dollars|feet|times|hours|countries|children",
    "name": "@anna|@bob_22|@user|#monday|#nofilter|#life|lol|omg|:)|!!|...|:(",
    "code": "int|null|the function|a pointer|the database|javascript|an array|the compiler|a regular expression|python",
}
_TEXTS = (
    "who {act} {thing}?",
    "who was the first {person2} of {place}?",
    "what is the {quality} {thing2} in {place}?",
    "what does {topic} mean?",
    "what is {topic}?",
    "what is the name of {animal} in {place}?",
    "what {unit} are in {place}?",
    "when did {person} {act2} {thing}?",
    "where is {place}?",
    "where did {person} find {thing}?",
    "why are {unit} so {quality}?",
    "why is {animal} {quality}?",
    "how many {unit} does {animal} have?",
    "how far is it from {place} to {place}?",
    "how do you {act2} {thing}?",
    "how much does {thing} cost in {place}?",
    "which {thing2} was {act} in {year}?",
    "is {food} {quality}?",
    "do you like {topic}?",
    "{person} was in {place} in {year}.",
    "{person} {act} {thing} for {number} {unit}.",
    "{person} said that {thing} is {quality}, but {person} did not believe it.",
    "in {year} {person} {act} {thing} in {place}.",
    "{number} {unit} died in {place} after {thing} was {act}.",
    "{topic} and {topic} are {quality}.",
    "{animal} eats {food} and lives near {place}.",
    "a {quality} {thing2} made of {food}",
    "the act of {doing} in {place}",
    "I feel so {feeling} about {topic} today {name}",
    "{name} I am {feeling} and {feeling}, {thing} is {quality}",
    "{name} {person} is so {quality} {name}",
    "when {person} says {thing} is {quality} {name}",
    "I can't believe {person} {act} {thing} {name}",
    "never been so {feeling} in my life {name}",
    "I {act} {thing} last week and it is {quality}.",
    "It was {quality}, and I was {feeling}.",
    "{quality} and {quality}, but not worth {number} dollars",
    "good {thing2}, {quality} price",
    "I was {doing} when {person} came home.",
    "we went {doing} with {person} and {animal}.",
    "she looked at {thing} and felt {feeling}.",
    "my {thing2} does not work since {year}, please help",
    "your service is {quality}, I want my money back",
    "how to use {code} with {code}",
    "error: {code} is {quality} in {code}",
    "{code} returns {number} instead of {number}",
    "thank you very much",
    "no, I don't think so",
    "hello, how are you?",
    "see you in {year}",
    "yes, {person} told me about {topic}",
    "sorry, I have no idea what you are talking about",
    "{doing} is {quality}",
    "new study: {topic} makes {person} {feeling}",
    "{place} votes on {topic} after {number} {unit}",
    "{person} talks about {topic}",
    "{food} with {food}",
    "I would like {food} and {food}",
    "let's talk about {topic}",
    "{word} {word} {word}",
    "{word} {word}",
    "{word} {word} {word} {word} {word}",
)
_FREQUENT = 0.01  # share of the texts that have such a word
_LEFT = 0.7  # of them in a garbled text

_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"


def foreign_texts(known: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Everyday texts and garbled ones, the same for the same arguments on every machine.

    Args:
        known: texts of the user's classes.
        count: how many to make, a third of them garbled.
        seed: of the random generator.
    """
    garbled = garbled_texts(known, count // 3, seed)
    return everyday_texts(count - len(garbled), seed) + garbled


def everyday_texts(count: int, seed: int = 0) -> list[str]:
    """Different texts about anything.

    Args:
        count: how many; the grammar has far more.
        seed: of the random generator.
    """
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[_text(rng)] = None
    return list(found)


def garbled_texts(known: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Known texts of which only some of the most frequent words are left, the others being made up.

    Args:
        known: the texts.
        count: how many to make.
        seed: of the random generator.
    """
    rng = random.Random(seed)
    words = [text.split() for text in known]
    texts_with = Counter(word for text in words for word in set(text))
    frequent = {word for word, texts in texts_with.items() if texts > _FREQUENT * len(words)}
    return [
        " ".join(
            word if word in frequent and rng.random() < _LEFT else _word(rng, "word") for word in rng.choice(words)
        )
        for _ in range(count)
    ]


def _text(rng: random.Random) -> str:
    text = re.sub(r"{(\w+)}", lambda kind: _word(rng, kind[1]), rng.choice(_TEXTS))
    kind = rng.random()
    if kind < 0.3:
        return text.rstrip(".?")
    if kind < 0.5:
        return text[0].upper() + text[1:]
    return text.replace("?", " ?").replace(".", " .") if kind < 0.6 else text


def _word(rng: random.Random, kind: str) -> str:
    """A word of a kind; a kind with a 2 leaves out what stands before a noun, and gives a verb as it stands."""
    if kind == "word":
        return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 4)))
    word = rng.choice(_WORDS[kind.removesuffix("2")].split("|"))
    return word.split()[-1] if kind.endswith("2") else word
