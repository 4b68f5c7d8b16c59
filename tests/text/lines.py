"""Lines of text that are hard for tokenizers, the same for the same seed on every machine.

    from lines import lines
    for line in lines(1000, seed=1): ...        # bytes, without line feeds; may be malformed UTF-8

A line is a few words of one kind or of several: natural text of many scripts, code, numbers, emoji
with their joiners and modifiers, combining marks, control and format characters, malformed UTF-8,
random code points, very long words, long runs of spaces. What the reference gets for a malformed
line is text(line): each malformed part replaced by U+FFFD as Python does it.
"""
import codecs
import random

# The first article of the Universal Declaration of Human Rights, or a few everyday words.
SCRIPTS = """
All human beings are born free and equal in dignity and rights. They're endowed with reason.
Tous les êtres humains naissent libres et égaux en dignité et en droits ; l'été, déjà vu, cœur, Ça.
Alle Menschen sind frei und gleich an Würde und Rechten geboren. Straße, GROẞ, Übermäßigkeit.
Todos los seres humanos nacen libres e iguales en dignidad y derechos. ¿Qué? ¡Mañana, niño!
Wszyscy ludzie rodzą się wolni i równi pod względem swej godności. Zażółć gęślą jaźń.
Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. İstanbul'da ılık ığdır.
Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.
Все люди рождаются свободными и равными в своём достоинстве и правах. Ёжик, йод, подъезд.
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια. ΌΣΟΣ, ὦ ἄνδρες Ἀθηναῖοι.
Բոլոր մարդիկ ծնվում են ազատ ու հավասար իրենց արժանապատվությամբ։ և եւ
ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა. ᲧᲕᲔᲚᲐ
כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. בְּרֵאשִׁית בָּרָא
يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. ﷽ ﻻ ٱلْحَمْدُ لِلَّٰهِ ١٢٣
تمام انسان‌ها آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق برابرند. ۴۵۶
सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है। क्षत्रिय १२३
সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।
எல்லா மனிதர்களும் சுதந்திரமாகவே பிறக்கின்றனர்; மதிப்பிலும் உரிமையிலும் சமமானவர்கள்.
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ กำ น้ำ
འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་སྐྱེས་ཙམ་ཉིད་ནས་ཆེ་མཐོངས།
လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း
មនុស្សទាំងអស់កើតមកមានសេរីភាព និងសមភាព
人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。𠮷野家、㍿、㈱
すべての人間は、生まれながらにして自由であり、ｶﾞｷﾞｸﾞ、パピプペポ、ーｰ々〆
모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 각
ሰብዓዊ ፍጡራን ሁሉ ነጻ ሆነው ይወለዳሉ። ፲፪
ᎠᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ ꭰꮒꭶꮣ
""".strip().split("\n")
CODE = """
for (size_t i = 0; i < n; i++) sum += a[i] * b[i];  /* O(n) */
def f(x, *args, **kwargs): return {k: v for k, v in kwargs.items() if v is not None}
<a href="https://example.org/path?q=1&amp;r=%20x#y">it's, we'll, I'd've, don'T, YOU'RE</a>
{"id": 12345678901, "pi": 3.14159, "neg": -0.5e-10, "hex": "0xDEADBEEF", "list": [1,2,3]}
$ git log --oneline | head -n 20 >> out.txt 2>&1; echo "\\t\\n" && exit
snake_case CamelCase kebab-case SCREAMING_CASE x1y2z3 v2.0.1-rc.1+build.5 a@b.co 1,234,567.89 50% #1
[CLS] [SEP] [MASK] [UNK] <s> </s> <unk> <pad> <mask> <|endoftext|> <0x41> <0xE2> ▁the ▁▁ Ġthe ##ing
""".strip().split("\n")
EMOJI = ("😀 😃 🥹 ❤️ ❤ ☺️ 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🏴‍☠️ 🇩🇪 🇫🇷🇧🇷 🇦 1️⃣ #️⃣ 👩🏿‍🚀 🧑‍💻 ✈︎ ©️ ™ ⛹🏻‍♀️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 😶‍🌫️ 🫱🏻‍🫲🏿"
         ).split(" ")
MARKS = "".join(map(chr, [*range(0x300, 0x330), 0x345, 0x489, 0x5B0, 0x64B, 0x670, 0x93C, 0x94D,
                          0x9CD, 0xE31, 0x3099, 0x309A, 0x20DD, 0x20E3, 0xFE0E, 0xFE0F, 0x1F3FD]))
ODD = [*range(1, 10), *range(11, 32), 0x7F, *range(0x80, 0xA1), 0xAD, 0x34F, 0x61C, 0x115F, 0x1680,
       0x180E, *range(0x2000, 0x2010), *range(0x2028, 0x2030), 0x205F, *range(0x2060, 0x2070),
       0x2581, 0x3000, 0x3164, 0xFEFF, *range(0xFFF9, 0xFFFE), 0xFFFE, 0xFFFF, 0xE000, 0x1D173,
       0xE0001, 0xE0041, 0xF0000, 0x10FFFF]
COMPATIBLE = "ﬁ ﬀ ﬃ ½ ¼ ² ³ ª º № ℡ ㎏ ㋿ ｆｕｌｌ Ⅷ ⑨ ⒈ ℌ 𝔘𝔫𝔦 𝟙𝟚 Ǆ ŉ ẛ Å Ω K ſt ﬆ ℅ … ‥ ， ！ ～ 〜 ﹏ ￥ ∯ ⫝̸ 가 힣 ᄀ각".split(" ")
MALFORMED = [b"\x80", b"\xbf\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe2\x82", b"\xe0\x80\x80",
             b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x9f\x98", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80",
             b"\xf8\x88\x80\x80\x80", b"\xff", b"\xfe\xff", b"\xe2\x28\xa1", b"\xf0\x9f"]
SEPARATORS = [" "] * 24 + ["  ", "   ", "\t", "", "", " \t ", "\r", "\xa0", "\u3000", "-", "'", "\u200b"]


def _word(r):
    """A word of one kind, as text or as malformed bytes."""
    kind = r.randrange(20)
    if kind < 8:
        return r.choice(r.choice(SCRIPTS).split(" "))
    if kind < 10:
        return r.choice(r.choice(CODE).split(" "))
    if kind == 10:
        return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 4)))
    if kind == 11:
        base = r.choice("aeioun AEZ\u0915\u0e01\u304b\u0628\u05d0\u1100\uac00\U0001f44d ")
        return base + "".join(r.choice(MARKS) for _ in range(r.choice([1, 1, 1, 2, 3, 40])))
    if kind == 12:
        return "".join(chr(r.choice(ODD)) for _ in range(r.randint(1, 4)))
    if kind == 13:
        return r.choice(COMPATIBLE) + r.choice(["", "", r.choice(MARKS)])
    if kind == 14:
        return b"".join(r.choice(MALFORMED) for _ in range(r.randint(1, 3)))
    if kind == 15:
        return str(r.randrange(10 ** r.randint(1, 18)))
    if kind == 16:
        return "".join(_any(r) for _ in range(r.randint(1, 6)))
    if kind == 17:
        return r.choice("!?.,;:-_=*#~+/\\|()[]{}<>\"'`^&%$@") * r.choice([1, 1, 2, 3, 9, 70])
    if kind == 18:
        word = r.choice(r.choice(SCRIPTS).split(" "))
        return r.choice([str.upper, str.lower, str.title, str.swapcase])(word)
    return r.choice(["n't", "'s", "'S", "'re", "'ll", "’s", "'", "''", "a'b", "'ve'd", "O'Neill"])


def _any(r):
    """Any code point but surrogates and line feed."""
    while True:
        c = r.randrange(1, r.choice([0x80, 0x800, 0x3000, 0x10000, 0x110000]))
        if not 0xD800 <= c < 0xE000 and c != 10:
            return chr(c)


def _long(r):
    kind = r.randrange(6)
    if kind == 0:
        return r.choice("ab1!é中😀_") * r.choice([100, 101, 1000, 3000])
    if kind == 1:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.choice([90, 400, 2000])))
    if kind == 2:
        return " " * r.choice([15, 16, 17, 100, 1000]) + r.choice(["", "x", "\t"])
    if kind == 3:
        return r.choice(SCRIPTS).replace(" ", "") * r.randint(1, 6)
    if kind == 4:
        return "".join(_any(r) for _ in range(r.choice([50, 300])))
    return (r.choice(EMOJI) + r.choice(["", " ", "\u200d"])) * r.choice([10, 100])


def _bytes(part):
    return part if isinstance(part, bytes) else part.encode()


def lines(count, seed=0):
    """Yields `count` lines as bytes."""
    r = random.Random(seed)
    for _ in range(count):
        kind = r.randrange(50)
        if kind < 12:
            yield _bytes(r.choice(SCRIPTS))
        elif kind < 16:
            yield _bytes(r.choice(CODE))
        elif kind == 16:
            yield _bytes(_long(r))
        elif kind == 17:
            yield _bytes(r.choice(["", " ", "  ", "\t", "▁", "\u0300", "\u200d", "\ufeff", "\r", "a", " a", "a "]))
        elif kind == 18:
            yield bytes(r.randrange(1, 256) for _ in range(r.randint(1, 40))).replace(b"\n", b"\r")
        else:
            parts = [r.choice([" ", "", "", ""])]
            for _ in range(r.choice([1, 2, 3, 5, 8, 12, 20])):
                parts += [_word(r), r.choice(SEPARATORS)]
            yield b"".join(map(_bytes, parts)).replace(b"\n", b"")


def text(line):
    """What a reader with errors="replace" gets."""
    return line.decode("utf-8", errors="replace")


def places(line):
    """Where each character of text(line) begins in the bytes of the line, and where the last ends."""
    bad = []

    def note(error):
        bad.append((error.start, error.end))
        return "\ufffd", error.end

    codecs.register_error("attn_note", note)
    found, at = [], 0
    for c in line.decode("utf-8", errors="attn_note"):
        found.append(at)
        if bad and bad[0][0] == at:
            at = bad.pop(0)[1]
        else:
            at += len(c.encode())
    return found + [at]


if __name__ == "__main__":
    import sys
    for one in lines(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0):
        sys.stdout.buffer.write(one + b"\n")
