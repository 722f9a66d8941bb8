"""How good the answers were, as pure functions over frames: no Dagster, no tracking, no feature store.

outcomes     what really happened to each prediction: from feedback, else from the model's own label
rows         the figures of one model, version, instrument and window; where they are kept, and how others read them
figures      the figures themselves, with intervals that know how little overlapping rows say
verdict      good, worse or inconclusive, against what the model card promised
expectation  what the model card of a version promised
rolling      all rows of a session
pairs        a candidate's unseen scores beside the served ones, on the same rows
signals      what acting on a session's signals would have earned
late         earlier sessions whose outcomes became known meanwhile
plots, page  pictures and the HTML page of quality
data_facts, data_page   what is known about a session's data, and the page about it
"""

from fx_monitoring.quality.rows import QualityRow, headline, latest

__all__ = ["QualityRow", "headline", "latest"]
