"""The time zone in which a customer lives, by country and province. No I/O.

A country's zone is the first that the time zone database names for it, which is that where most
of its people live unless stated here; its provinces with another time are named by their official
code and in English. Who lives nobody knows where has no zone of its own.
"""

from datetime import UTC, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

MOST_PEOPLE = {
    "AU": "Australia/Sydney", "BR": "America/Sao_Paulo", "CA": "America/Toronto",
    "FM": "Pacific/Pohnpei", "RU": "Europe/Moscow", "UA": "Europe/Kyiv", "UM": "Pacific/Wake",
    "UZ": "Asia/Tashkent",
}  # fmt: skip

PROVINCES = {
    "US": {
        "America/Chicago": "AL Alabama, AR Arkansas, IL Illinois, IA Iowa, KS Kansas, "
        "LA Louisiana, MN Minnesota, MS Mississippi, MO Missouri, NE Nebraska, ND North Dakota, "
        "OK Oklahoma, SD South Dakota, TN Tennessee, TX Texas, WI Wisconsin",
        "America/Denver": "CO Colorado, ID Idaho, MT Montana, NM New Mexico, UT Utah, WY Wyoming",
        "America/Phoenix": "AZ Arizona",
        "America/Los_Angeles": "CA California, NV Nevada, OR Oregon, WA Washington",
        "America/Anchorage": "AK Alaska",
        "Pacific/Honolulu": "HI Hawaii",
    },
    "CA": {
        "America/St_Johns": "NL Newfoundland and Labrador",
        "America/Halifax": "NB New Brunswick, NS Nova Scotia, PE Prince Edward Island",
        "America/Winnipeg": "MB Manitoba",
        "America/Regina": "SK Saskatchewan",
        "America/Edmonton": "AB Alberta, NT Northwest Territories",
        "America/Vancouver": "BC British Columbia",
        "America/Whitehorse": "YT Yukon",
    },
    "AU": {
        "Australia/Brisbane": "QLD Queensland",
        "Australia/Adelaide": "SA South Australia",
        "Australia/Darwin": "NT Northern Territory",
        "Australia/Perth": "WA Western Australia",
        "Australia/Hobart": "TAS Tasmania",
    },
    "BR": {
        "America/Manaus": "AM Amazonas, RO Rondonia, RR Roraima",
        "America/Cuiaba": "MT Mato Grosso",
        "America/Campo_Grande": "MS Mato Grosso do Sul",
        "America/Rio_Branco": "AC Acre",
    },
    "MX": {
        "America/Cancun": "ROO Quintana Roo",
        "America/Hermosillo": "SON Sonora",
        "America/Mazatlan": "SIN Sinaloa, NAY Nayarit, BCS Baja California Sur",
        "America/Tijuana": "BCN Baja California",
    },
    "RU": {
        "Europe/Kaliningrad": "KGD Kaliningrad Oblast",
        "Europe/Samara": "SAM Samara Oblast, UD Udmurtia",
        "Asia/Yekaterinburg": "SVE Sverdlovsk Oblast, CHE Chelyabinsk Oblast, TYU Tyumen Oblast, "
        "BA Bashkortostan, PER Perm Krai, ORE Orenburg Oblast, KHM Khanty-Mansi Autonomous Okrug",
        "Asia/Omsk": "OMS Omsk Oblast",
        "Asia/Novosibirsk": "NVS Novosibirsk Oblast, TOM Tomsk Oblast, ALT Altai Krai",
        "Asia/Krasnoyarsk": "KYA Krasnoyarsk Krai, KEM Kemerovo Oblast",
        "Asia/Irkutsk": "IRK Irkutsk Oblast, BU Buryatia",
        "Asia/Yakutsk": "SA Sakha, AMU Amur Oblast, ZAB Zabaykalsky Krai",
        "Asia/Vladivostok": "PRI Primorsky Krai, KHA Khabarovsk Krai",
        "Asia/Sakhalin": "SAK Sakhalin Oblast",
        "Asia/Kamchatka": "KAM Kamchatka Krai",
    },
    "ID": {
        "Asia/Makassar": "BA Bali, NB West Nusa Tenggara, NT East Nusa Tenggara, "
        "SN South Sulawesi, KI East Kalimantan, KS South Kalimantan, SA North Sulawesi",
        "Asia/Jayapura": "PA Papua, PB West Papua, MA Maluku",
    },
    "ES": {"Atlantic/Canary": "CN Canary Islands, GC Las Palmas, TF Santa Cruz de Tenerife"},
    "PT": {"Atlantic/Azores": "20 Azores"},
}  # fmt: skip


def _zones() -> dict[str, str]:
    lines = files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8").splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found.setdefault(country, zone)
    found |= MOST_PEOPLE
    for country, zones in PROVINCES.items():
        for zone, names in zones.items():
            for name in names.split(", "):
                code, _, title = name.partition(" ")
                found[f"{country}/{code.lower()}"] = found[f"{country}/{title.lower()}"] = zone
    return found


ZONES = _zones()
"""The zone of each place: a country "US", or a province with a time of its own "US/texas"."""


def zone_of(country: str | None, province: str | None) -> str | None:
    """The time zone where a customer lives, None if that is not known."""
    if country is None:
        return None
    return ZONES.get(f"{country}/{(province or '').strip().lower()}") or ZONES.get(country)


def moments(clock: datetime) -> dict[str, str]:
    """For each place the instant, in ISO 8601, at which its clocks show a time without a zone."""
    by_zone = {
        zone: clock.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).isoformat()
        for zone in set(ZONES.values())
    }
    return {place: by_zone[zone] for place, zone in ZONES.items()}


def moment_sql(moments: str, otherwise: str) -> str:
    """The instant of customer `c`, by a placeholder of `moments` as jsonb; as `zone_of` has it.

    `otherwise` is the instant of those whose zone is not known.
    """
    return f"""COALESCE(
        ({moments} ->> (c.country || '/' || lower(btrim(c.province))))::timestamptz,
        ({moments} ->> c.country::text)::timestamptz, {otherwise})"""
