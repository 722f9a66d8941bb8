"""Two figures side by side: the sign is that of the change, whatever is measured and however it is written."""

import itertools

import pytest

from fx_assets.sentiment import banded
from fx_assets.sentiment.comparison import read_figure
from fx_assets.sentiment.lexicon import default_lexicon

MORE_IS_BETTER = (
    "Net sales",
    "Net interest income",
    "Revenue",
    "The group's turnover",
    "Earnings per share ( EPS )",
    "Diluted EPS",
    "Operating profit before taxes",
    "Operating profit, excluding restructuring costs,",
    "Income from continuing operations",
    "Order intake in the third quarter",
    "New orders",
    "The order backlog",
    "Cash flow from operations",
    "EBITDA",
)
LESS_IS_BETTER = (
    "Interest expenses",
    "Net debt",
    "The operating loss",
    "Loss for the 3-month period",
    "Budget deficit",
)
PAIRS = (
    ("EUR 9.2 mn", "EUR 7.1 mn"),
    ("EUR 1.2 bn", "EUR 980 mn"),
    ("$2.1 billion", "$1.9 billion"),
    ("USD 900,000", "USD 850,000"),
    ("EUR9.2m", "EUR7.1m"),
    ("\u20ac3,2bn", "\u20ac2,9bn"),
    ("Rs 1.2 lakh crore", "Rs 90,000 crore"),
    ("82.2 million euros", "75 million"),
    ("5.2 %", "4.9 %"),
    ("12.1 per cent", "11.5 per cent"),
    ("EUR 2000 mn", "EUR 1950 mn"),
)
FORMS = (
    "{measure} was {now}, compared to {then} a year earlier",
    "{measure} totalled {now} as compared with {then} in 2008 .",
    "In 2009 {measure} came to {now} vs. {then} in the first 9 months of 2008",
    "{measure} was {now}, against {then}",
    "{measure} of {now} versus {then}",
    "{measure} was {now}, from {then} last year",
    "Compared with {then} in 2008, {measure} was {now}",
    "{measure} went from {then} to {now}",
    "{measure} was {now} in comparison with {then} on 31 December 2008",
)


def sign(text: str) -> int:
    return int(banded(default_lexicon().score([text]))[0])


@pytest.mark.parametrize("form", FORMS)
def test_the_sign_is_that_of_the_change(form):
    wrong = []
    for measure, (high, low) in itertools.product((*MORE_IS_BETTER, *LESS_IS_BETTER), PAIRS):
        good = 1 if measure in MORE_IS_BETTER else -1
        for now, then, expected in ((high, low, good), (low, high, -good), (low, low, 0)):
            text = form.format(measure=measure, now=now, then=then)
            if sign(text) != expected:
                wrong.append(text)
    assert wrong == []


@pytest.mark.parametrize("measure", ["Net sales", "Net interest income", "Turnover", "EPS", "Operating profit"])
def test_verbs_of_direction_go_on_to_tell_it(measure):
    for verb, tone in (("rose", 1), ("increased", 1), ("decreased", -1), ("fell", -1)):
        high, low = "EUR 9.2 mn", "EUR 7.1 mn"
        now, then = (high, low) if tone > 0 else (low, high)
        assert sign(f"{measure} {verb} to {now} from {then}") == tone
        assert sign(f"{measure} {verb} from {then} to {now}") == tone
    assert sign(f"{measure} was EUR 7.1 mn, down from EUR 9.2 mn") == -1
    assert sign("Operating loss decreased to EUR 2 mn from EUR 5 mn") == 1
    assert sign("Operating loss increased to EUR 5 mn from EUR 2 mn") == -1


OTHERS = """1|Pretax profit totaled EUR 4.6 mn compared to a loss of EUR 1.2 mn
-1|Pretax loss totaled EUR 4.6 mn compared to a profit of EUR 1.2 mn
1|A net profit of EUR 3 mn was posted compared to a net loss of EUR 12 mn
-1|A net loss of EUR 3 mn was posted compared to a net profit of EUR 12 mn
1|Net profit was EUR 3 mn compared with a loss a year earlier
-1|Net loss of $5.2 million compared to a profit a year earlier
1|Operating loss was EUR 2 mn, compared to a loss of EUR 3 mn
-1|Operating profit was EUR -1.1 mn compared to EUR 2.3 mn
1|Net cash flow was EUR -1 mn compared to EUR -5 mn
-1|Operating profit fell to a loss of EUR 5 mn compared to a profit of EUR 3 mn
1|Net income was $5.2 million, or 30 cents a share, compared with net income of $4.1 million, or 25 cents a share
-1|Net income was $0.30 per share, compared with $0.45 per share
1|Quarterly revenue came in at $1.30 bn versus the average estimate of $1.25 bn
-1|Quarterly revenue came in at $1.20 bn versus the average estimate of $1.25 bn
-1|Sales for January-March 2010 were EUR 1.9 mn compared to EUR 2.3 mn in January-March 2009
0|A profit of EUR 5 mn compared to sales of EUR 50 mn
0|A profit of EUR 5 mn from sales of EUR 50 mn
0|A profit of EUR 5 mn from the sale of assets of EUR 50 mn
0|Sales of EUR 5 mn against USD 4 mn
0|The firm has 500 employees, compared to 480 at the end of 2008
0|The contract is worth EUR 5 mn, compared to EUR 4 mn
0|Net sales in 2009 compared to 2008
0|Profit was EUR 6 mn and sales EUR 60 mn, compared to EUR 7 mn and EUR 80 mn, respectively"""


@pytest.mark.parametrize("case", OTHERS.splitlines())
def test_losses_shares_estimates_and_what_is_no_comparison(case):
    expected, text = case.split("|")
    assert sign(text) == int(expected)


@pytest.mark.parametrize(
    ("raw", "value", "scale", "currency"),
    [
        ("7.1", 7.1, 0.0, ""),
        ("1,200.5,", 1200.5, 0.0, ""),
        ("7,1", 7.1, 0.0, ""),
        ("EUR7.1mn", 7.1, 1e6, "eur"),
        ("(-$2.1bn).", -2.1, 1e9, "usd"),
        ("\u00a3-3m", -3.0, 1e6, "gbp"),
        ("Rs.50", 50.0, 0.0, "inr"),
        ("30c", 30.0, 0.01, ""),
    ],
)
def test_figures_as_they_are_written(raw, value, scale, currency):
    found = read_figure(raw)
    assert found is not None
    assert (found.value, found.scale, found.currency) == (value, scale, currency)


@pytest.mark.parametrize("raw", ["", "-", "EUR", "Q3", "3-month", "EUR/USD", "31.12.2009", "1.2.3", "mn", "10-year"])
def test_what_is_no_figure(raw):
    assert read_figure(raw) is None
