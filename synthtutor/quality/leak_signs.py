"""The words around a number that tell what it is doing in a tutor's reply, as patterns.

Most are matched against what stands before the number in its sentence, and so end with ``$``.
"""

from __future__ import annotations

import re

__all__ = [
    "AGREES",
    "ALTERNATIVE_AFTER",
    "ALTERNATIVE_BEFORE",
    "ASIDE",
    "ASKING",
    "CALLED",
    "CALLED_AFTER",
    "CHOICE",
    "COMES_TO",
    "CONCLUDED",
    "CORRECTED",
    "CREDITED",
    "DENIED",
    "DERIVED",
    "EMPHASIS",
    "END",
    "ENUMERATED",
    "EQUALS",
    "GIVEN",
    "IDENTIFIED",
    "NOT_SUM",
    "OUTCOME",
    "PER",
    "PREFERRED",
    "QUESTION",
    "REACHED",
    "REJECTED",
    "REQUEST",
    "SHORT",
    "SUM",
    "SUPPOSED",
    "TELLING",
    "TIGHT",
    "UNKNOWN",
    "WORKED_AFTER",
    "WORKED_BEFORE",
]

END = re.compile(r"[.!?؟]+[\"'”’)*]*(?=\s|$)|[。！？]+[”’」』）]*|\n+")
# Asterisks of Markdown, not of a product or a power.
EMPHASIS = re.compile(
    r"(?<![\w)])\*{1,3}(?=[\w$£€(\"'\\])|(?<=[\w%)\"'.!?:}])\*{2,3}(?![\w(])"
    r"|(?<=[\w%.!?])\*(?=[\s.,;:!?)]*(?:$|\n|\s[a-z]))",
    re.IGNORECASE,
)
SHORT = re.compile(r"\b(?:e\.g|i\.e|vs|Mr|Mrs|Ms|Dr|St|approx|etc)\.$", re.IGNORECASE)
_GAP = r"[\s$£€(*\"'“‘:]*"

REJECTED = re.compile(
    rf"(?:\bnot|n['’]t|rather than|instead of|other than|\bthan){_GAP}$", re.IGNORECASE
)
DENIED = re.compile(
    r"\b(?:not|n't|rather than|instead of)\s+[$\d][\w.,]*(?:\s+\w+)?", re.IGNORECASE
)
EQUALS = re.compile(
    rf"(?:=|≈|\bequals|\bequal to)(?:{_GAP}(?:about|only|just|exactly|a|total|of|approximately)\b)*{_GAP}$",
    re.IGNORECASE,
)
# A calculation, in signs or words, and a verb in place of the sign of equality.
_TERM = r"[$£€(]*\d[\d.,/]*%?\)?(?:\s+[a-z]+){0,2}?"
COMES_TO = re.compile(
    rf"(?:{_TERM}\s*(?:[-−–+*/×÷x]|times|plus|minus|multiplied\s+by|divided\s+by)\s*{_TERM}"
    rf"|\b(?:product|sum|difference|quotient|subtract\w*|add\w*|multiply\w*|divid\w+)\s+(?:of\s+|between\s+)?{_TERM}"
    rf"\s+(?:and|from|to|by|with)\s+{_TERM})"
    rf",?\s+(?:(?:is|are|makes?|gives?|leaves?|comes\s+to|becomes|(?:would|should|will|to)\s+(?:be|give|make|leave))\s+)"
    rf"(?:us\s+|you\s+|just\s+|only\s+|actually\s+|about\s+|exactly\s+)*{_GAP}$",
    re.IGNORECASE,
)
# An equation with an unknown in it is set up, not worked out. Letters that are units are left out.
UNKNOWN = re.compile(
    r"(?:\d[abcnpqrtuvwxyzk](?![a-z\d])|(?<![a-z])[b-z]\s*[-−+*/^÷×]\s*[\d(]|[\d)]\s*[-−+*/÷×]\s*[b-z](?![a-z]))"
    r"[^=.?!;]*=\s*[$£€]?$",
    re.IGNORECASE,
)
# A question that names what there is to choose from.
CHOICE = re.compile(r"\b(?:which|or)\b(?:[^.?!]|\.\d)*[.?!]*\s*$", re.IGNORECASE)
IDENTIFIED = re.compile(
    rf"^(?!.*\b(?:whether|if)\b[^,;]*$).*(?:\b(?:is|are|be|chose|choose|pick)|['’]s)\s+"
    rf"(?:(?:a|an|the|actually|in\s+fact|called|indeed|really)\s+)*{_GAP}$",
    re.IGNORECASE | re.DOTALL,
)
PREFERRED = re.compile(
    r"[\s*)\"'”’]*(?:[a-z]+\s+)?(?:is|are|comes)\s+(?:the\s+|a\s+)?(?:\w+er\b|\w+est\b|more|less|most|least|next|correct|right|first|last)",
    re.IGNORECASE,
)
ALTERNATIVE_BEFORE = re.compile(rf"\bor{_GAP}$", re.IGNORECASE)
ALTERNATIVE_AFTER = re.compile(
    r"[\s*)\"'”’]*(?:[a-z]+\s+){0,2}?(?:,\s*[^,?]{1,20}){0,4},?\s*\bor\b", re.IGNORECASE
)
ENUMERATED = re.compile(r"(?:[\w-]+,\s*){2,}(?:[\w-]+,?\s*)?\b(?:and|or)\s+[\w-]+", re.IGNORECASE)
WORKED_AFTER = re.compile(
    r"\s*(?:[a-z]+\s+){0,2}?(?:[-−+*/×÷^x]\s*[($]*\d|×|\*|times\s+(?:\$?\d|the\b|as\b|that\b|a\b)|multiplied\b|divided\b|plus\b|minus\b|"
    r"by\s+\$?\d|from\s+\$?\d)",
    re.IGNORECASE,
)
WORKED_BEFORE = re.compile(
    rf"(?:[\d)%]\s*(?:[a-z]+\s+){{0,2}}[-−+*/×÷x^]|\b(?:times|plus|minus|(?:multipl|divid)\w+"
    rf"(?:\s+\w+){{0,6}}\s+by|(?:add|subtract|multiply|divide|deduct)(?:ed|ing)?)){_GAP}$",
    re.IGNORECASE,
)
SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|imagine|let'?s say|say|assume|assuming|for (?:example|instance)|e\.g\.)"
    r"(?:\s(?!then\b)[^,.;:!?]*)?$",
    re.IGNORECASE,
)
_HOW = (
    r"(?:\s+(?:us|you|a|an|the|total|of|that|there|it|he|she|they|we|is|are|was|were|be|have|has|had|"
    r"need|needs|to|exactly|only|just|about|actually|roughly|approximately|by|left|with|\w+s?))"
)
CALLED = re.compile(
    rf"\b(?:answer|solution|result|(?:correct|right|final)\s+(?:\w+\s+)?(?:value|number|amount|total|calculation|cost|sum))"
    rf"s?\b[^.?!=\d]{{0,60}}?\b(?:is|are|was|be|being|equals?|comes?\s+(?:out\s+)?to|of)\b{_HOW}{{0,3}}?{_GAP}$"
    rf"|\b(?:answer|solution|result)s?\s*:{_GAP}$|\\boxed\s*\{{$",
    re.IGNORECASE,
)
CALLED_AFTER = re.compile(
    r"\s*(?:[a-z]+\s+){0,2}(?:is|was|would\s+be|being|as)\s+(?:the|our|your)\s+(?:[a-z]+\s+)?(?:answer|solution|result)\b",
    re.IGNORECASE,
)
REACHED = re.compile(
    r"\b(?:get|gets|getting|gives?|giving|makes?|making|leaves?|leaving|yields?|totals?|totaling|"
    r"results?\s+in|comes?\s+(?:out\s+)?to|ends?\s+up\s+with|(?:should|would|must|will)(?:\s+\w+)?\s+be|means?|"
    r"finds?|to\s+be|becomes?|leads?\s+to|arrive\s+at|which\s+is|brings?\s+\w+\s+to|total\s+of|left\s+with)"
    rf"{_HOW}{{0,4}}?{_GAP}$"
    # Whoever the problem is about needs so many; what the student needs to do is a step.
    r"|\b(?!(?:you|we|i|to)\b)[a-z]+\s+(?:(?:actually|only|still|indeed|just)\s+)?(?:needs?|has|have)\s+to\s+[a-z]+"
    rf"{_HOW}{{0,2}}?{_GAP}$"
    # The name of a result, and what it is.
    r"|\b(?:total|sum|difference|product|cost|price|number|amount|rest|speed|age|profit|average|value|balance|"
    r"remainder|weight|length|height|distance|area|time|percentage)s?\b[^.?!,;=\d]{0,40}\b(?:is|are|was|were|comes\s+to)"
    rf"{_HOW}{{0,2}}?{_GAP}$",
    re.IGNORECASE,
)
CONCLUDED = re.compile(
    r"\b(?:so|therefore|thus|hence|in\s+total|altogether|actually|finally|final|correct|correctly|simply|"
    r"should|would|means?|needs?|leaves?|makes?|gives?|which\s+is)\b",
    re.IGNORECASE,
)
OUTCOME = re.compile(r"\b(?:left|remain\w*|in\s+total|altogether|in\s+all)\b", re.IGNORECASE)
GIVEN = re.compile(
    r"\b(?:since|because|if|given|knowing|remember(?:ing)?|as|when|once|now\s+that|(?:problem|question)\s+(?:says|states)|"
    r"already)\b[^,;:.?!]*$",
    re.IGNORECASE,
)
# "If you divide, you get 7": a condition of which the number is the outcome, not a part.
DERIVED = re.compile(
    rf"\b(?:if|when|once)\b.*\b(?:you|we)(?:['’]ll|['’]d|\s+will|\s+would)?\s+(?:get|have|find){_HOW}{{0,3}}?{_GAP}$",
    re.IGNORECASE,
)
AGREES = re.compile(
    r"\W*(?:(?:oh|ok|okay|great|good|nice)\W+)?(?:yes|yep|yeah|right|correct|exactly|perfect|well done|great|good|excellent|"
    r"nice|that['’]?s (?:right|correct|it)|you['’]?re (?:\w+ )?(?:right|correct))\b(?!.*\b(?:but|however|although|not quite)\b)",
    re.IGNORECASE | re.DOTALL,
)
CREDITED = re.compile(
    r"\b(?:you|student)(?:\s+(?:have|had|'ve|initially|already|correctly|originally|first|also|then|just|did)|'ve|’ve)*\s+"
    r"(?:said|say|got|found|calculated|computed|wrote|write|mentioned|figured|determined|used|added|"
    r"subtracted|multiplied|divided|identified|concluded|stated|noticed|assumed|think|thought)\b[^,;:.?!]{0,80}$"
    r"|\byour\s+[^,;:.?!]{0,60}$|\bcorrect(?:ly)?\s+(?:that|calculat\w+)\b[^,.;:?!]{0,80}$",
    re.IGNORECASE,
)
CORRECTED = re.compile(
    r"\b(?:(?:should|would|must|needs?\s+to)\s+(?:\w+\s+)?be|actually)\b[^,;:.?!]*$", re.IGNORECASE
)
QUESTION = re.compile(
    r"(?:^|[,;:—–-]\s*|\b(?:and|but|so|then|now)\s+)(?:what|how|why|which|who|can|could|do|did|does|would|are|is)\b",
    re.IGNORECASE,
)
ASKING = re.compile(r"\b(?:what|how|why|which)\b", re.IGNORECASE)
REQUEST = re.compile(r"\b(?:can|could)$", re.IGNORECASE)
TELLING = re.compile(r"\b(?:can|could|do)\s+you\s+(?:see|understand)\b", re.IGNORECASE)
SUM = re.compile(r"(?:[a-z]|[\d(][\d\s.,$%*/×÷x+()−–-]*)(?:\s*[a-z]+)?\s*=[\s$]*$", re.IGNORECASE)
ASIDE = re.compile(r"\s*\([^()\d]*\)")
PER = re.compile(r"/\s?[a-z]+", re.IGNORECASE)
NOT_SUM = re.compile(r"[^\d.,*/+=()-]|\.(?!\d)|,(?!\d)")
# Brackets keep the number of a sentence before them apart: "10 (25 + 10)" is no "10(25+10)".
TIGHT = re.compile(r"\s*([*/+=-])\s*|(?<=\()\s+|\s+(?=\))")
