"""What tells a number that means something from one that only looks so. All take bytes, as they stand in the text."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_CARD_SIZES: Final = (
    (("4",), (13, 16, 19)),
    (("51", "52", "53", "54", "55", *(str(each) for each in range(2221, 2721))), (16,)),
    (("34", "37"), (15,)),
    (("6011", "65", "644", "645", "646", "647", "648", "649"), (16, 19)),
    (("300", "301", "302", "303", "304", "305", "36", "38", "39"), (14,)),
    (tuple(str(each) for each in range(3528, 3590)), (16, 19)),
    (("62", "81"), (16, 17, 18, 19)),
    (("50", "56", "57", "58", "63", "67"), (16, 18, 19)),
    (("2200", "2201", "2202", "2203", "2204"), (16,)),
)
"""First digits that issuers have (ISO/IEC 7812), and how many digits there are then."""

_IBAN_SIZES: Final = {
    each[:2]: int(each[2:])
    for each in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
        "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
        "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
        "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
        "UA29 VA22 VG24 XK20 YE30"
    ).split()
}
"""Characters of an IBAN, by country (ISO 13616)."""

_CODES: Final = frozenset(
    (
        "1 7 20 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234 235 236 237 238 "
        "239 240 241 242 243 244 245 246 247 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 "
        "266 267 268 269 27 290 291 297 298 299 30 31 32 33 34 350 351 352 353 354 355 356 357 358 359 36 370 371 "
        "372 373 374 375 376 377 378 379 380 381 382 383 385 386 387 389 39 40 41 420 421 423 43 44 45 46 47 48 "
        "49 500 501 502 503 504 505 506 507 508 509 51 52 53 54 55 56 57 58 590 591 592 593 594 595 596 597 598 "
        "599 60 61 62 63 64 65 66 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 "
        "692 800 808 81 82 84 850 852 853 855 856 86 870 878 880 881 882 883 886 888 90 91 92 93 94 95 960 961 "
        "962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 98 992 993 994 995 996 998"
    ).split()
)
"""Codes of countries and networks (ITU-T E.164)."""

_NOT_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))
_NOT_ALNUM: Final = bytes(set(range(256)) - set(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
_SIZE_OF_NUMBER: Final = (9, 15)
_DATE: Final = re.compile(
    rb"[0-9]{1,4}[-./ ][0-9]{1,2}[-./ ](?:19|20)[0-9]{2}(?![0-9])|(?:19|20)[0-9]{2}[-./ ][0-9]{2}[-./ ]"
)


def digits_of(text: bytes) -> str:
    """Only its digits."""
    return text.translate(None, _NOT_DIGITS).decode()


def is_card(digits: str) -> bool:
    """Whether these are the digits of a payment card: an issuer's first ones, so many as it has, and a right check
    digit."""
    size = len(digits)
    if not 13 <= size <= 19 or not any(size in sizes and digits.startswith(begins) for begins, sizes in _CARD_SIZES):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0 and len(set(digits)) > 1


def is_ssn(digits: str) -> bool:
    """Whether the nine digits may be a number of the US Social Security."""
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def iban_size(text: bytes) -> int:
    """How many bytes of the beginning of `text` are an IBAN with a right checksum; 0: none."""
    size = _IBAN_SIZES.get(text[:2].decode("latin-1").upper(), 0)
    if size == 0:
        return 0
    end = seen = 0
    while end < len(text) and seen < size:
        seen += text[end : end + 1].isalnum() and text[end] < 128
        end += 1
    found = text[:end].translate(None, _NOT_ALNUM).decode().upper()
    if len(found) != size:
        return 0
    turned = "".join(str(int(each, 36)) for each in found[4:] + found[:4])
    return end if int(turned) % 97 == 1 else 0


def has_code(digits: str) -> bool:
    """Whether an international number (without + or 00) begins with the code of a country, and has a right size."""
    return _SIZE_OF_NUMBER[0] <= len(digits) <= _SIZE_OF_NUMBER[1] and any(
        digits[:size] in _CODES for size in (1, 2, 3)
    )


def is_date(text: bytes) -> bool:
    """Whether what looks like a phone number begins as a day does."""
    return _DATE.match(text) is not None


def is_address(text: str) -> bool:
    """Whether it is an IP address of more than the machine itself."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or text.startswith("255."))
