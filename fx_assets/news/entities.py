"""The words by which a headline is about a currency, a metal, oil, a share index or a coin, and how much so.

A phrase is matched word by word. One with a capital letter is matched as it is written (US is not us, TRY not try),
any other whatever its case. A longer phrase wins over a shorter one at the same place, so the phrases of NOT_MEANT
take words out of play (a gold medal is no gold, an Egyptian pound no sterling), and so do the names of PEOPLE before a
word of COMPANY. A word of OTHER_CONTEXT is not meant where one of its own words is in the headline. A symbol that
stands alone is its currency's code. Weights:
    1.0   the currency or thing itself: codes, names, nicknames
    0.9   its central bank, that bank's rates and officials
    0.8   figures of the economy that only that country has, and its government's debt
    0.5   the country, its government, its statistics in general
    0.3   something it lives by (crude oil for the Canadian dollar)
A pair such as EURUSD or EUR/USD is about its base: what happens to the pair happens to the base, and to the quote only
the other way round. News of share markets in general has no weight for any currency (it is in the signals of all
news): what it means for a currency depends on the mood of the day.
"""

from __future__ import annotations

ENTITIES: tuple[str, ...] = (
    *("USD", "EUR", "JPY", "GBP", "CHF", "AUD", "NZD", "CAD", "NOK", "SEK"),
    *("CNH", "MXN", "ZAR", "TRY", "SGD", "XAU", "XAG", "OIL"),
    *("SPX", "DAX", "FTSE", "NIKKEI", "BTC", "ETH"),
)
CURRENCIES = ENTITIES[:17]

# Other names of an entity as half of an instrument's symbol.
ALIASES: dict[str, str] = {
    "CNY": "CNH", "SPX500": "SPX", "US500": "SPX", "SPY": "SPX", "NAS100": "SPX", "US100": "SPX", "US30": "SPX",
    "US2000": "SPX", "DE30": "DAX", "DE40": "DAX", "EU50": "DAX", "FR40": "DAX", "UK100": "FTSE", "JP225": "NIKKEI",
    "BCO": "OIL", "WTICO": "OIL", "BRENT": "OIL", "WTI": "OIL", "GOLD": "XAU", "SILVER": "XAG",
}  # fmt: skip

# entity: ((weight, phrases between bars), ...)
PHRASES: dict[str, tuple[tuple[float, str], ...]] = {
    "USD": (
        (1.0, "USD | dollar | dollars | greenback | DXY | dollar index | US dollar | U S dollar | dólar | dolar AS"),
        (0.9, "Fed | FED | federal reserve | FOMC | fed chair | fed governor | fed minutes | fedspeak | Powell"),
        (0.9, "Yellen"),
        (0.9, "Bernanke | fed funds | dot plot | jackson hole | fed rate | fed official | fed officials"),
        (0.9, "fed president"),
        (0.8, "payrolls | nonfarm payrolls | non farm payrolls | nonfarm payroll | NFP | jobless claims | ISM"),
        (0.8, "JOLTS | core PCE"),
        (0.8, "PCE inflation | treasury yields | treasury yield | treasuries | US treasury | U S treasury | US CPI"),
        (0.8, "treasury secretary | US inflation | US jobs | US GDP | US retail sales | US yields | ADP employment"),
        (0.8, "debt ceiling | michigan consumer sentiment | philly fed | empire state manufacturing | beige book"),
        (0.5, "US | U S | USA | United States | america | american | white house | washington | biden | trump"),
    ),
    "EUR": (
        (1.0, "EUR | euro | euros | common currency | single currency"),
        (0.9, "ECB | european central bank | Lagarde | Draghi | BCE | EZB | ecb president | governing council"),
        (0.9, "bundesbank | banque de france | Schnabel | Villeroy"),
        (0.8, "HICP | ZEW | Ifo | IFO | german bund | bunds | eurozone CPI | eurozone inflation | eurozone GDP"),
        (0.8, "Sentix"),
        (0.8, "german inflation | german GDP | german CPI | german factory orders | bund yield | btp spread"),
        (0.5, "eurozone | euro zone | euro area | EU | european union | germany | german | france | french | italy"),
        (0.5, "italian | spain | spanish | netherlands | dutch | brussels | berlin | greece | greek | ireland"),
    ),
    "JPY": (
        (1.0, "JPY | yen | japanese yen"),
        (0.9, "BoJ | BOJ | bank of japan | Kuroda | Ueda | yield curve control | YCC | boj governor | Himino | Uchida"),
        (0.8, "tankan | JGB | JGBs | tokyo CPI | ministry of finance japan | japan CPI | japan inflation | japan GDP"),
        (0.8, "yen intervention | japan intervention"),
        (0.5, "japan | japanese | tokyo"),
    ),
    "GBP": (
        (1.0, "GBP | sterling | pound | pounds | cable | british pound | pound sterling"),
        (0.9, "BoE | BOE | bank of england | Bailey | boe governor | old lady of threadneedle street | bank rate"),
        (0.8, "gilt | gilts | RICS | halifax house prices | UK CPI | UK inflation | UK GDP | UK jobs"),
        (0.8, "UK retail sales | UK payrolls | british payrolls"),
        (1.0, "cable one month | cable one week | cable one year"),
        (0.8, "claimant count | autumn statement | chancellor of the exchequer | brexit"),
        (0.5, "UK | U K | united kingdom | britain | british | england | london | downing street | scotland"),
    ),
    "CHF": (
        (1.0, "CHF | swiss franc | franc | swissie | swissy"),
        (0.9, "SNB | swiss national bank | Schlegel | snb chairman | Maechler"),
        (0.8, "KOF | swiss CPI | swiss inflation | swiss GDP"),
        (0.5, "swiss | switzerland | zurich"),
    ),
    "AUD": (
        (1.0, "AUD | aussie | australian dollar | aussie dollar"),
        (0.9, "RBA | reserve bank of australia | Philip Lowe | RBA Lowe | Michele Bullock | RBA Bullock"),
        (0.9, "rba governor"),
        (0.8, "westpac consumer confidence | NAB business confidence | australia CPI | australian inflation"),
        (0.8, "australian employment | aussie retail sales | aussie CPI | australia GDP | australian jobs"),
        (0.5, "australia | australian | canberra | sydney"),
        (0.3, "iron ore"),
    ),
    "NZD": (
        (1.0, "NZD | kiwi | kiwi dollar | new zealand dollar"),
        (0.9, "RBNZ | reserve bank of new zealand | RBNZ Orr | Adrian Orr | official cash rate | rbnz governor"),
        (0.8, "global dairy trade | GDT auction | NZ CPI | new zealand inflation | new zealand GDP"),
        (0.8, "ANZ business confidence"),
        (0.5, "new zealand | NZ | wellington"),
        (0.3, "dairy prices | milk prices"),
    ),
    "CAD": (
        (1.0, "CAD | loonie | canadian dollar | canadian dollars"),
        (0.9, "BoC | BOC | bank of canada | Macklem | Poloz | boc governor"),
        (0.8, "Ivey PMI | canada CPI | canadian inflation | canada jobs | canadian employment | canada GDP"),
        (0.8, "canadian payrolls | canada payrolls | canadian retail sales | canada retail sales | canada employment"),
        (0.5, "canada | canadian | ottawa | toronto"),
        (0.3, "crude | crude oil | oil prices | oil price | WTI | OPEC"),
    ),
    "NOK": (
        (1.0, "NOK | norwegian krone | norwegian crown | nokkie"),
        (0.9, "norges bank"),
        (0.5, "norway | norwegian | oslo"),
        (0.3, "crude | crude oil | oil prices | oil price | brent | OPEC"),
    ),
    "SEK": (
        (1.0, "SEK | swedish krona | swedish crown | stokkie"),
        (0.9, "riksbank"),
        (0.5, "sweden | swedish | stockholm"),
    ),
    "CNH": (
        (1.0, "CNH | CNY | yuan | renminbi | offshore yuan | RMB"),
        (0.9, "PBoC | PBOC | people s bank of china | peoples bank of china | loan prime rate"),
        (0.8, "Caixin | caixin PMI | china CPI | china GDP | china exports | china PMI | chinese inflation"),
        (0.5, "china | chinese | beijing | shanghai"),
    ),
    "MXN": (
        (1.0, "MXN | mexican peso | mexican pesos | peso mexicano"),
        (0.9, "banxico | bank of mexico"),
        (0.5, "mexico | mexican"),
    ),
    "ZAR": (
        (1.0, "ZAR | rand | south african rand"),
        (0.9, "SARB | south african reserve bank | Kganyago"),
        (0.5, "south africa | south african | eskom | pretoria | johannesburg"),
    ),
    "TRY": (
        (1.0, "TRY | lira | turkish lira"),
        (0.9, "CBRT | TCMB | central bank of turkey | turkish central bank"),
        (0.5, "Turkey | Turkiye | Türkiye | turkish | erdogan | ankara"),
    ),
    "SGD": (
        (1.0, "SGD | singapore dollar | sing dollar"),
        (0.9, "monetary authority of singapore | MAS policy"),
        (0.5, "singapore"),
    ),
    "XAU": (
        (1.0, "XAU | gold | bullion | spot gold | yellow metal"),
        (0.5, "precious metals | precious metal | world gold council"),
    ),
    "XAG": (
        (1.0, "XAG | silver | spot silver"),
        (0.5, "precious metals | precious metal"),
    ),
    "OIL": (
        (1.0, "crude | crude oil | oil prices | oil price | brent | WTI | oil"),
        (0.9, "OPEC | OPEC plus | opec cuts"),
        (0.8, "EIA crude | oil inventories | crude inventories | crude stocks | oil stockpiles"),
        (0.8, "baker hughes rig count"),
        (0.5, "saudi arabia | aramco | strait of hormuz"),
    ),
    "SPX": (
        (1.0, "S P 500 | S P500 | SP500 | SPX | S P | dow jones | dow | nasdaq | wall street | US stocks | U S stocks"),
        (1.0, "Nasdaq 100 | russell 2000 | US equities | dow futures | stock futures | SPY | DJIA | US stock futures"),
        (0.5, "stock market | stocks | equities | shares"),
    ),
    "DAX": ((1.0, "DAX | euro stoxx | stoxx 600 | stoxx | CAC 40 | european shares | european stocks"),),
    "FTSE": ((1.0, "FTSE | FTSE 100 | london stocks | UK shares | UK stocks"),),
    "NIKKEI": ((1.0, "nikkei | nikkei 225 | topix | japanese stocks | japan stocks | japanese shares"),),
    "BTC": ((1.0, "BTC | bitcoin"), (0.5, "crypto | cryptocurrency | cryptocurrencies")),
    "ETH": ((1.0, "ETH | ethereum | ether"), (0.5, "crypto | cryptocurrency | cryptocurrencies")),
}  # fmt: skip

# What looks like one of the above and is something else.
NOT_MEANT = (
    "hong kong dollar | taiwan dollar | jamaican dollar | zimbabwe dollar | dollar tree | dollar general | "
    "dollar store | million dollar | billion dollar | dollar a day | egyptian pound | lebanese pound | "
    "syrian pound | sudanese pound | pound of flesh | per pound | pounds of | pounds lighter | CFA franc | "
    "congolese franc | gold medal | gold medals | gold medalist | gold cup | gold coast | gold standard | "
    "gold rush | golden | gold glove | silver medal | silver lining | silver lake | silver screen | silver medals | "
    "cable news | cable tv | cable car | cable company | cable network | cable operator | undersea cable | "
    "submarine cable | kiwi fruit | Rand Paul | RAND Corporation | Ayn Rand | ingersoll rand | olive oil | "
    "palm oil | cooking oil | vegetable oil | oil painting | new mexico | little italy | wall street journal | "
    "wall street english | turkey sandwich | thanksgiving turkey | dow inc | dow chemical | pound cake | fed up | "
    "london metal exchange | london stock exchange | south sydney | sterling silver | american airlines | "
    "american express | bank of america | british airways | american eagle | american tower | swiss army | "
    "swiss cheese | french fries | danish krone | RBI MPC | turkey prices | frozen turkey | turkey products | "
    "turkey burger | ground turkey | turkey breast | turkey day | turkey trot | turkey dinner | turkey farm | "
    "oil of olay | essential oil | essential oils | coconut oil | fish oil | hemp oil | CBD oil | motor oil | "
    "engine oil | hair oil | sunflower oil | soybean oil | canola oil | rapeseed oil | snake oil | oil change | "
    "oil paintings | oil on canvas | midnight oil | brent spence | brent cross | brent council | Cable One | "
    "cable guy | cable cars | cable bill | cable subscribers | HDMI cable | USB cable | charging cable | "
    "silver surfer | silver spring | silver bullet | silver fern | silver alert | silver tsunami | silver spoon | "
    "silver age | dollar shave | dollar footlong | dollar footlongs | half dollar | top dollar | one dollar | "
    "two dollar | three dollar | four dollar | five dollar | six dollar | seven dollar | eight dollar | nine dollar | "
    "ten dollar | twenty dollar | fifty dollar | hundred dollar | thousand dollar | trillion dollar | dow component | "
    "dow member | euro 2016 | euro 2020 | euro 2021 | euro 2022 | euro 2024 | euro 2025 | euro 2028 | euro 2032 | "
    "euro final | euro finals | euro disney | euro ncap | euro truck | gold star | "
    "gold digger | gold record | gold blend | old bailey | beetle bailey | bailey bridge | "
    "colin powell | baden powell | kiwi bird | pound sign | dog pound"
)
# Officials who are told from firms of the same name by what follows.
PEOPLE = (
    "Powell | Yellen | Bernanke | Lagarde | Draghi | Schnabel | Villeroy | Kuroda | Ueda | Himino | Uchida | Bailey | "
    "Schlegel | Maechler | Poloz | Macklem | Kganyago"
)
COMPANY = (
    "Industries | Brands | Inc | Corp | Corporation | Co | Company | Group | Holdings | Ltd | LLC | Stores | "
    "Partners | Pharma | Energy | Capital | Technologies | Homes | Motors | Foods | Products"
)
_BIRD = "thanksgiving butterball poultry cranberry stuffing gobble gravy roast roasted leftovers hormel"
_FOOTBALL = "uefa fifa football soccer quarterfinal quarterfinals semifinal semifinals goalkeeper striker midfielder"
OTHER_CONTEXT: dict[str, frozenset[str]] = {
    "turkey": frozenset(_BIRD.split()),
    "turkeys": frozenset(_BIRD.split()),
    "euro": frozenset(_FOOTBALL.split()),
    "euros": frozenset(_FOOTBALL.split()),
}
SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}


def instrument_entities(instrument: str) -> tuple[str, str]:
    """Base and quote of an instrument's symbol, as entities where there is such a one: SPX500_USD is SPX and USD.

    A symbol without a quote has "" for it; a half that is in nobody's list stays as it is and has no relevance.
    """
    base, _, quote = instrument.partition("_")
    if not quote and len(base) == 6 and base[:3] in CURRENCIES and base[3:] in CURRENCIES:
        base, quote = base[:3], base[3:]
    return ALIASES.get(base, base), ALIASES.get(quote, quote)
