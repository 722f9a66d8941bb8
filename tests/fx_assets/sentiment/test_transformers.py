"""FinBERT's and FinGPT's code with tiny models of random weights, made here and loaded from disk: no network."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from fx_assets.configuration.data import Sentiment
from fx_assets.sentiment import make_scorer
from fx_assets.sentiment.lexicon import default_lexicon

torch = pytest.importorskip("torch", reason="needs torch: pip install 'fx-platform[transformers]'")
transformers = pytest.importorskip("transformers", reason="needs transformers: pip install 'fx-platform[transformers]'")

WORDS = ["dollar", "rises", "falls", "bank", "profit", "loss", "rate", "up", "down", "sharply", "the", "on", "news"]
TEXTS = ["dollar rises", "bank profit falls sharply on the news", "", "loss", "rate up", "dollar rises"]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def bert(folder: Path, labels: dict[int, str], positions: int = 24) -> Path:
    """A BERT classifier of 8 dimensions with a WordPiece vocabulary of a few words."""
    folder.mkdir()
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    tokenizer = transformers.BertTokenizerFast(vocab={w: i for i, w in enumerate(vocabulary.read_text().split())})
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=positions,
        num_labels=len(labels),
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
        initializer_range=1.0,
    )
    torch.manual_seed(3)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def gpt2(folder: Path, positions: int = 96) -> Path:
    """A GPT-2 of 8 dimensions over whole words and single characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir()
    pieces = [
        "<unk>",
        "<eos>",
        *WORDS,
        "positive",
        "negative",
        "neutral",
        "Instruction",
        "Input",
        "Answer",
        "news",
        ":",
    ]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(dict.fromkeys(pieces))}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="<eos>", model_max_length=positions
    ).save_pretrained(folder)
    config = transformers.GPT2Config(
        vocab_size=len(pieces), n_positions=positions, n_embd=8, n_layer=2, n_head=2, initializer_range=1.0
    )
    torch.manual_seed(4)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


FINBERT = {0: "positive", 1: "negative", 2: "neutral"}


def options(scorer: str, model: object, batch: int = 32) -> Sentiment:
    return Sentiment(scorer=scorer, model=str(model), device="cpu", batch=batch)  # type: ignore[arg-type]


def test_finbert_reads_its_outputs_by_their_names(tmp_path):
    folder = bert(tmp_path / "a", FINBERT)
    scorer = make_scorer(options("finbert", folder))
    assert scorer.name == "finbert"
    scores = scorer.score(TEXTS)
    # Against the model itself, one text at a time.
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, score in zip(TEXTS, scores, strict=True):
        if not text:
            assert score == 0.0
            continue
        shares = torch.softmax(model(**tokenizer(text, return_tensors="pt")).logits, dim=-1)[0].tolist()
        assert score == pytest.approx(shares[0] - shares[1], abs=1e-5)
    assert len(set(scores.round(6).tolist())) == 5
    assert scores[0] == pytest.approx(scores[5], abs=1e-12)
    called = scorer.classify(TEXTS)
    assert called[2] == 0
    assert set(called.tolist()) <= {-1, 0, 1}
    # The same weights with the names in another order mean something else.
    other = make_scorer(options("finbert", bert(tmp_path / "b", {0: "Negative", 1: "Positive", 2: "Neutral"})))
    np.testing.assert_allclose(other.score(TEXTS), -scores, atol=1e-9)
    assert other.version != scorer.version


@pytest.mark.parametrize(("name", "make"), [("finbert", lambda path: bert(path, FINBERT)), ("fingpt", gpt2)])
def test_batches_and_padding_change_nothing(tmp_path, name, make):
    folder = make(tmp_path / "a")
    texts = [" ".join(WORDS[: 1 + i % len(WORDS)]) for i in range(23)]
    whole = make_scorer(options(name, folder, batch=32)).score(texts)
    single = make_scorer(options(name, folder, batch=1)).score(texts)
    np.testing.assert_allclose(whole, single, atol=1e-5)
    assert np.abs(whole).max() > 1e-3
    assert make_scorer(options(name, folder)).version == make_scorer(options(name, folder)).version


def test_fingpt_scores_by_the_probability_of_the_three_words(tmp_path):
    from fx_assets.sentiment.generator import AFTER, BEFORE

    folder = gpt2(tmp_path / "a")
    scorer = make_scorer(options("fingpt", folder))
    assert scorer.name == "fingpt"
    scores = scorer.score(TEXTS)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    words = [tokenizer(word)["input_ids"][0] for word in ("negative", "neutral", "positive")]
    for text, score in zip(TEXTS, scores, strict=True):
        if not text:
            assert score == 0.0
            continue
        ids = tokenizer(f"{BEFORE}{text}{AFTER}", return_tensors="pt")["input_ids"]
        shares = torch.softmax(model(input_ids=ids).logits[0, -1, words], dim=-1).tolist()
        assert score == pytest.approx(shares[2] - shares[0], abs=1e-5)


@pytest.mark.parametrize(("name", "make"), [("finbert", lambda path: bert(path, FINBERT)), ("fingpt", gpt2)])
def test_long_texts_are_cut(tmp_path, name, make):
    scorer = make_scorer(options(name, make(tmp_path / "a")))
    scores = scorer.score(["dollar " * 1000, "dollar " * 2000])
    assert scorer.name == name
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)


def fallen_back(scorer, caplog) -> str:
    """The warning, after the checks that the lexicon scores and says so."""
    assert scorer.name == "lexicon"
    assert scorer.version == default_lexicon().version
    np.testing.assert_array_equal(scorer.score(["stocks plunge"]), default_lexicon().score(["stocks plunge"]))
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING and "cannot score" in r.getMessage()]
    return record.getMessage()


@pytest.mark.parametrize("name", ["finbert", "fingpt"])
def test_a_model_that_is_not_there(tmp_path, caplog, name):
    told = fallen_back(make_scorer(options(name, tmp_path / "gone")), caplog)
    assert f"{name} cannot score: model {tmp_path / 'gone'} cannot be loaded: there is no such folder." in told
    assert "Give a folder that holds config.json" in told


@pytest.mark.parametrize("name", ["finbert", "fingpt"])
def test_no_network(caplog, name, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    told = fallen_back(make_scorer(Sentiment(scorer=name, model="nobody/nothing-here")), caplog)
    assert "model nobody/nothing-here cannot be loaded" in told
    assert "Check its name and the network, or fetch it once with `hf download nobody/nothing-here`" in told


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package(tmp_path, caplog, monkeypatch, package):
    folder = bert(tmp_path / "a", FINBERT)
    monkeypatch.setitem(sys.modules, package, None)
    told = fallen_back(make_scorer(options("finbert", folder)), caplog)
    assert f"package {package} is missing. Install it with `pip install 'fx-platform[transformers]'`" in told


def test_labels_that_say_nothing_and_broken_files(tmp_path, caplog):
    told = fallen_back(make_scorer(options("finbert", bert(tmp_path / "a", {0: "LABEL_0", 1: "LABEL_1"}))), caplog)
    assert "names its outputs LABEL_0, LABEL_1, which do not say what is positive" in told
    caplog.clear()
    folder = bert(tmp_path / "b", FINBERT)
    (folder / "model.safetensors").write_bytes(b"cut")
    assert "cannot be loaded" in fallen_back(make_scorer(options("finbert", folder)), caplog)
    caplog.clear()
    assert "too short for the question" in fallen_back(make_scorer(options("fingpt", gpt2(tmp_path / "c", 20))), caplog)


def test_a_device_that_is_not_there(tmp_path, caplog):
    device = "mps" if torch.cuda.is_available() else "cuda"  # no machine has both
    wanted = Sentiment(scorer="finbert", model=str(bert(tmp_path / "a", FINBERT)), device=device)
    assert f"device {device} is not there. Set sentiment.device" in fallen_back(make_scorer(wanted), caplog)


def test_memory_that_runs_out_halves_the_batch_and_then_ends_in_the_lexicon(tmp_path, caplog):
    scorer = make_scorer(options("finbert", bert(tmp_path / "a", FINBERT), batch=8))
    inner = scorer._scorer  # type: ignore[attr-defined]
    run, room = inner._model.forward, 2

    def forward(**given):
        if len(given["input_ids"]) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return run(**given)

    inner._model.forward = forward
    texts = ["dollar rises", "loss", "rate up", "bank"]
    assert np.abs(scorer.score(texts)).max() > 0
    assert (scorer.name, inner.batch) == ("finbert", 2)
    room = 0
    caplog.clear()
    scorer.score(texts)
    assert "out of memory with one text at once" in fallen_back(scorer, caplog)


def test_any_other_failure_is_not_hidden(tmp_path):
    scorer = make_scorer(options("finbert", bert(tmp_path / "a", FINBERT)))

    def forward(**given):
        raise RuntimeError("shapes do not fit")

    scorer._scorer._model.forward = forward  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        scorer.score(["dollar"])
