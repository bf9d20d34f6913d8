"""Made-up requests to a house: English ones to learn from, the same matters in eight other languages to test on.

python examples/many_languages/house_requests.py --output languages    # languages/train.csv, test.csv and examples.json
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

_ENGLISH = {
    "light": [
        "turn on the light in the {x}",
        "switch off all lamps in the {x}",
        "make it brighter in the {x}",
        "it is too dark in the {x}",
        "dim the lights in the {x}",
    ],
    "music": [
        "play some music in the {x}",
        "play a song that I like in the {x}",
        "stop the music in the {x}",
        "I want to hear jazz in the {x}",
        "turn the radio up in the {x}",
    ],
    "weather": [
        "what is the weather like today",
        "will it rain tomorrow",
        "is it cold outside",
        "do I need an umbrella this evening",
        "will the sun shine at the weekend",
        "how warm will it be on Sunday",
        "is there going to be snow",
        "will it be windy this afternoon",
    ],
    "alarm": [
        "wake me up at seven",
        "set an alarm for six in the morning",
        "I have to get up at half past five",
        "remind me in ten minutes",
        "set a timer for twenty minutes",
        "wake me an hour earlier tomorrow",
        "tell me when it is three o'clock",
        "cancel the alarm for tomorrow morning",
    ],
}
_ROOMS = ["kitchen", "bedroom", "living room", "bathroom"]
_OTHERS = {
    "light": {
        "de": ["Mach das Licht in der Küche an.", "Es ist zu dunkel im Schlafzimmer."],
        "es": ["Enciende la luz de la cocina.", "Apaga las lámparas del dormitorio."],
        "fr": ["Allume la lumière dans la cuisine.", "Il fait trop sombre dans la chambre."],
        "nl": ["Doe het licht in de keuken aan.", "Het is te donker in de slaapkamer."],
        "sv": ["Tänd lampan i köket.", "Släck ljuset i sovrummet."],
        "zh": ["打开厨房的灯。", "卧室太暗了。"],
        "ja": ["台所の明かりをつけてください。", "寝室が暗すぎます。"],
        "hi": ["रसोई की बत्ती जलाओ।", "कमरे में बहुत अँधेरा है।"],
    },
    "music": {
        "de": ["Spiel Musik im Wohnzimmer.", "Ich möchte ein Lied hören."],
        "es": ["Pon música en el salón.", "Quiero escuchar una canción."],
        "fr": ["Joue de la musique dans le salon.", "Je veux écouter une chanson."],
        "nl": ["Speel muziek in de woonkamer.", "Ik wil een liedje horen."],
        "sv": ["Spela musik i vardagsrummet.", "Jag vill höra en sång."],
        "zh": ["在客厅放音乐。", "我想听一首歌。"],
        "ja": ["居間で音楽をかけてください。", "歌を聞きたいです。"],
        "hi": ["संगीत बजाओ।", "मैं एक गाना सुनना चाहता हूँ।"],
    },
    "weather": {
        "de": ["Wie ist das Wetter heute?", "Wird es morgen regnen?"],
        "es": ["¿Qué tiempo hace hoy?", "¿Va a llover mañana?"],
        "fr": ["Quel temps fait-il aujourd'hui ?", "Est-ce qu'il va pleuvoir demain ?"],
        "nl": ["Wat voor weer is het vandaag?", "Gaat het morgen regenen?"],
        "sv": ["Hur är vädret idag?", "Kommer det att regna imorgon?"],
        "zh": ["今天天气怎么样？", "明天会下雨吗？"],
        "ja": ["今日の天気はどうですか。", "明日は雨が降りますか。"],
        "hi": ["आज मौसम कैसा है?", "क्या कल बारिश होगी?"],
    },
    "alarm": {
        "de": ["Weck mich um sieben Uhr.", "Ich muss morgen früh aufstehen."],
        "es": ["Despiértame a las siete.", "Tengo que levantarme a las seis."],
        "fr": ["Réveille-moi à sept heures.", "Je dois me lever à six heures."],
        "nl": ["Maak me om zeven uur wakker.", "Ik moet om zes uur opstaan."],
        "sv": ["Väck mig klockan sju.", "Jag måste gå upp klockan sex."],
        "zh": ["七点叫醒我。", "我明天六点要起床。"],
        "ja": ["七時に起こしてください。", "明日は六時に起きなければなりません。"],
        "hi": ["मुझे सात बजे जगाओ।", "मुझे कल छह बजे उठना है।"],
    },
}


def english() -> list[tuple[str, str]]:
    """Every request, in each room where it has one, with its matter."""
    rooms = {text: _ROOMS if "{x}" in text else [""] for texts in _ENGLISH.values() for text in texts}
    return [(text.format(x=room), name) for name, texts in _ENGLISH.items() for text in texts for room in rooms[text]]


def others() -> list[tuple[str, str, str]]:
    """Requests in other languages, with their matter and language."""
    return [
        (text, name, language)
        for name, languages in _OTHERS.items()
        for language, texts in languages.items()
        for text in texts
    ]


def page_examples() -> list[str]:
    """One request of each language, the matters in turn, for the page."""
    names, languages = list(_OTHERS), list(_OTHERS["light"])
    return [_OTHERS[names[i % len(names)]][language][0] for i, language in enumerate(languages)]


def main() -> None:
    """Writes the tables and the page's examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("languages"), metavar="DIR", help="folder for the tables")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    tables = {"train": [("text", "label"), *english()], "test": [("text", "label", "language"), *others()]}
    for name, rows in tables.items():
        with (args.output / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    examples = json.dumps(page_examples(), ensure_ascii=False, indent=1)
    (args.output / "examples.json").write_text(examples + "\n", "utf-8")


if __name__ == "__main__":
    main()
