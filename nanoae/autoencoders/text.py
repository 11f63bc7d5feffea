"""TextVAE: encodes lines of text as short codes, and generates new lines from codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.choice import Choice, greedy, sampler
from nanoae.autoencoders.elbo import Variational, active_units
from nanoae.autoencoders.estimator import as_codes, seed_of
from nanoae.autoencoders.examples import Examples
from nanoae.autoencoders.kinds import Auto, Integer, Name, Number
from nanoae.autoencoders.parameters import estimator, parameter, transactional
from nanoae.autoencoders.plan import AUTO, LinesPlan, Plan
from nanoae.autoencoders.resumable import resumable
from nanoae.autoencoders.saved import Fact
from nanoae.autoencoders.teacher_forcing import TeacherForcing
from nanoae.autoencoders.vocabulary import EOS, PAD, UNITS, UNK, Vocabulary, checked_lines
from nanoae.autoencoders.warm_start import WarmStart
from nanoae.autoencoders.weights import FEW
from nanoae.backend import Shape
from nanoae.blocks import blocks
from nanoae.configurable import Self
from nanoae.data.field import MISSING
from nanoae.data.frame import framed
from nanoae.data.scaling import Scaler
from nanoae.engine.embedding import Embedding
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss, SoftmaxCrossEntropy
from nanoae.engine.optim import Optimizer
from nanoae.engine.recurrent import GRU
from nanoae.engine.sequences import LastTimestep, TimeDistributed

NUMBERS = 1 << 22  # scores computed at a time outside training: 16 MB of float32


@estimator
class TextVAE(WarmStart, Variational):
    """A variational autoencoder of lines of text (Bowman et al. 2016, "Generating sentences from a continuous space").

    tokens -> Embedding -> GRU, its state at the line's end -> Linear -> Gaussian -> code z (N, K)
    -> TeacherForcing (the previous token, the keyword and z at each step) -> GRU -> Linear -> softmax over the tokens

    The loss of a line is in nats: the cross-entropy of its tokens and its end, plus beta KL(code ‖ prior). A constant
    learning_rate is that of the first step and decays along half a cosine, to 0 after the last.

    Any number of threads may use a fitted model at once; `fit` needs exclusive access (see `Estimator`).

    Attributes after fit: network_, history_, code_size_, vocabulary_ (a Vocabulary), keywords_ (a tuple, empty if fit
    had none), n_features_in_ (the length of a row: BOS, tokens, EOS), interrupted_.

    >>> model = TextVAE(random_state=0).fit(lines, keywords)
    >>> model.generate(10, keyword="coffee", temperature=0.8, random_state=0)
    """

    code_size: int = parameter(32, Integer(), "K, the length of a line's code")
    state_size: int = parameter(128, Integer(), "length of the state of both GRUs")
    embedding_size: int = parameter(32, Integer(), "length of a token's vector")
    _: KW_ONLY
    tokens: str = parameter(
        "auto",
        Name(("auto", *UNITS)),
        "unit into which lines are split, in any script; auto: characters if most lines have no space",
    )
    max_words: int = parameter(
        5000, Integer(), "vocabulary size: the most frequent tokens; others are never generated"
    )
    max_length: int = parameter(
        100, Integer(), "maximum tokens per line: longer lines are truncated, with a warning"
    )
    word_dropout: float = parameter(
        0.2,
        Number("[0, 1)"),
        "fraction of the tokens hidden from the decoder in training, so that it has to use the code",
    )
    beta: float = 0.5
    warm_up: Any = parameter(
        AUTO, Auto(Number()), "epochs in which the KL weight rises to beta; auto: half of them"
    )
    learning_rate: Any = 5e-3
    _plan: ClassVar[Plan] = LinesPlan(watchable=sys.maxsize, usual_batch=64)
    processes: ClassVar[int] = 1
    scaling: ClassVar[str] = "none"
    scaler_: ClassVar[Scaler] = Scaler()  # the identity
    draws_rows: ClassVar[bool] = False
    _facts = (
        *Variational._facts,
        Fact("vocabulary_", "vocabulary", dict, MISSING, Vocabulary.pack, Vocabulary.unpack),
    )

    # ---------------------------------------------------------------- building

    def _layers(self, input_shape: Shape) -> tuple[list[Layer], list[Layer]]:
        embedding = Embedding(len(self.vocabulary_), self.embedding_size)
        code = [
            embedding,
            self._gru(),
            LastTimestep(embedding),
            self._linear(2 * self.code_size),
            self.bottleneck,
        ]
        teacher = TeacherForcing(embedding, self.embedding_size, self.word_dropout)
        return code, [teacher, self._gru(), TimeDistributed(self._linear(len(self.vocabulary_)))]

    def _gru(self) -> GRU:
        return GRU(self.state_size, init=self.initializer, bias_init=self._biases)

    def new_loss(self) -> Loss:
        return SoftmaxCrossEntropy("batch", ignore=0)

    def _optimizer(self, first: float = 1) -> Optimizer:
        return super()._optimizer(1)

    # ---------------------------------------------------------------- training

    @transactional
    def build(self, lines: Any, keywords: Any = None) -> Self:
        """Build the vocabulary of these lines and the untrained network, for `summary` or a gradient check."""
        self.check_parameters()
        lines, keywords = checked_lines(lines, keywords)
        self.vocabulary_ = Vocabulary.learn(lines, keywords, self.tokens, self.max_words)
        longest = max(len(self.vocabulary_.tokenize(line)) for line in lines)
        self.record_schema((min(longest, self.max_length) + 2,), None)
        self._build((self.n_features_in_,))
        return self

    @resumable
    @transactional
    def fit(
        self,
        lines: Any,
        keywords: Any = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        epochs: int | None = None,
    ) -> Self:
        """Train on lines (N strings) from new weights; keywords (N strings) make the model conditional. With warm_start
        training continues with the same vocabulary_, keywords and length: unknown tokens are masked, with a warning.

        validation_data   (lines, keywords) or lines on which the cross-entropy is measured after each epoch
        sample_weight     weights (N,) of the lines: each epoch draws lines in proportion to them; see
                          `Autoencoder.fit`
        epochs            passes over the lines in this call; None: the parameter `epochs`

        Raises ValueError for anything but a list of lines, NotFiniteError if training diverges.
        """
        lines, keywords = checked_lines(lines, keywords)
        rows, weights = self._weighted_rows(lines, sample_weight, FEW)
        lines = np.array(lines, dtype=object)[rows].tolist()
        keywords = None if keywords is None else np.array(keywords, dtype=object)[rows].tolist()
        before = self._weights_before()
        if before is None:
            self.build(lines, keywords)
        else:
            self._build(self.input_shape_)
            self._set_weights(before)
            self.vocabulary_.warn_about_unknown(lines)
        self._set_epochs(epochs)
        X = self._inputs(lines, keywords)
        watched = None
        if validation_data is not None:
            given = validation_data, None
            if isinstance(validation_data, tuple):
                given = self._rows_and_labels(validation_data, "keywords")
            rows = self._inputs(*given)
            watched = Examples(rows, rows[:, 1:])
        examples = Examples(X, X[:, 1:], weights).in_content_order()
        self._train(*self._divided(examples, watched))
        return self

    # ---------------------------------------------------------------- lines and rows

    @property
    def keywords_(self) -> tuple[str, ...]:
        return self.vocabulary_.keywords

    def _inputs(self, lines: Any, keywords: Any = None) -> np.ndarray:
        """Encode a user's lines as rows (N, T + 1); ValueError for unknown keywords."""
        self.check_fitted()
        lines, keywords = checked_lines(lines, keywords)
        words = self.vocabulary_
        return words.encode(lines, words.known(keywords), self.n_features_in_)

    # ---------------------------------------------------------------- codes

    @framed
    def transform(self, lines: Any, keywords: Any = None) -> np.ndarray:
        """Return the mean codes (N, K) of lines."""
        return self._encode(lines, keywords=keywords)

    def inverse_transform(self, X: Any, keywords: Any = None) -> list[str]:
        """Decode codes X (N, K) to lines greedily: the most probable token at each time step."""
        self.check_fitted()
        codes = as_codes(X, self, (self.code_size_,), self.network_.dtype)
        bos = self.vocabulary_.known(keywords) or [""] * len(codes)
        if len(bos) != len(codes):
            raise ValueError(
                f"TextVAE: expected as many keywords as codes, got {len(bos)} and {len(codes)}."
            )
        return self.vocabulary_.decode(self._generate(codes, bos, greedy))

    def reconstruct(self, lines: Any, keywords: Any = None) -> list[str]:
        """Return the reconstructions of N lines: encoded, then decoded greedily."""
        return self.inverse_transform(self._encode(lines, keywords=keywords), keywords)

    def generate(
        self,
        count: int = 10,
        keyword: str | Sequence[str] | None = None,
        temperature: float = 1.0,
        random_state: Any = None,
    ) -> list[str]:
        """Generate `count` new lines from codes z ~ N(0, 1).

        keyword       a keyword for all lines, or one per line; None: drawn from the known keywords
        temperature   >= 0: tokens are sampled from softmax(scores / temperature); 0 selects the most probable
        random_state  None, or an int for reproducible lines
        """
        self.check_fitted()
        Integer().check("TextVAE", "count", count)
        Number().check("TextVAE", "temperature", temperature)
        rng = np.random.default_rng(seed_of(random_state))
        if keyword is None:
            bos = [str(each) for each in rng.choice(self.vocabulary_.bos, count)]
        else:
            keywords = [keyword] * count if isinstance(keyword, str) else keyword
            bos = self.vocabulary_.known(keywords) or []
        if len(bos) != count:
            raise ValueError(f"TextVAE: expected one keyword, or {count}, got {len(bos)}.")
        codes = rng.standard_normal((count, self.code_size_)).astype(self.network_.dtype)
        return self.vocabulary_.decode(self._generate(codes, bos, sampler(float(temperature), rng)))

    def _generate(self, codes: np.ndarray, bos: Sequence[str], choose: Choice) -> np.ndarray:
        """Return token indices (N, T) for codes (N, K); choose(scores (N, V)) selects the tokens (N,) of each step."""
        first = np.array([self.vocabulary_.bos_ids[each] for each in bos])
        parts = blocks(len(codes), max(1, NUMBERS // len(self.vocabulary_)))
        return np.concatenate(
            [self._decode_block(codes[part], first[part], choose) for part in parts]
        )

    def _decode_block(self, codes: np.ndarray, first: np.ndarray, choose: Choice) -> np.ndarray:
        layers: list[Any] = self.network_.layers[self.n_code_layers_ :]
        teacher, gru, head = layers
        ops = self.network_.ops
        possible = np.arange(len(self.vocabulary_)) >= self.vocabulary_.first_token
        possible[EOS] = True
        z = ops.to_device(codes)
        bos = ops.to_device(first)
        state = None
        decoded = np.full((len(codes), self.n_features_in_ - 1), PAD, np.int64)
        tokens = first
        ended = np.zeros(len(codes), bool)
        for t in range(decoded.shape[1]):
            states = gru.forward(teacher.join(z, ops.to_device(tokens)[:, None], bos), h=state)
            state = states[:, 0]
            scores = ops.to_numpy(head.forward(states))[:, 0].astype(np.float64)
            scores = np.where(possible, scores, -np.inf)
            tokens = np.where(ended, PAD, choose(scores))
            decoded[:, t] = tokens
            ended |= tokens == EOS
            if ended.all():
                break
        return decoded

    # ---------------------------------------------------------------- evaluation

    def _repeat(self, samples: int) -> None:
        embedding: Any = self.network_.layers[0]
        embedding.ids = embedding.ids.repeat(samples, axis=0)

    def score_samples(
        self, lines: Any, keywords: Any = None, importance_samples: int | None = None
    ) -> np.ndarray:
        """Return a lower bound of log p(line | keyword) in nats for each line (N,); see `VariationalAutoencoder`."""
        X = self._inputs(lines, keywords)
        return self._bound(X, X[:, 1:], importance_samples)

    def score(self, lines: Any, keywords: Any = None, *, sample_weight: Any = None) -> float:
        """Return the mean ELBO of the lines in nats: higher is better."""
        elbo = self.score_samples(lines, keywords)
        rows, weights = self._weighted_rows(elbo, sample_weight)
        return float(np.average(elbo[rows], weights=weights))

    def evaluate(
        self, lines: Any, keywords: Any = None, *, sample_weight: Any = None
    ) -> dict[str, float]:
        """Return measures of prediction and reconstruction, weighted by sample_weight (N,). Unknown tokens are masked.

        elbo            nats per line, a lower bound of log p
        cross_entropy   nats per token (a word, a character, the line's end), given the previous ones and the code
        perplexity      e^(-ELBO per token)
        kl              nats per line: the information in the code
        active_units    units of the code whose mean varies over the lines with a variance above 0.01 (Burda 2016)
        token_accuracy  fraction of tokens that are correct, and in the correct place, in the reconstructions
        exact_lines     fraction of lines that are reconstructed exactly
        """
        X = self._inputs(lines, keywords)
        rows, weights = self._weighted_rows(X, sample_weight)
        X = X[rows]
        parts = self._elbo(X, X[:, 1:])
        elbo, log_p, kl = (part.astype(np.float64) for part in parts)
        codes = self._run(X, 0, self._n_encoder)
        decoded = self._generate(
            codes, [self.vocabulary_.bos[first - 2] for first in X[:, 0]], greedy
        )
        known = X[:, 1:] != UNK
        right = (decoded == X[:, 1:]) | ~known
        mean = functools.partial(np.average, weights=weights)  # over lines
        tokens = mean(known.sum(axis=1))
        return {
            "elbo": float(mean(elbo)),
            "cross_entropy": float(-mean(log_p) / tokens),
            "perplexity": float(np.exp(-mean(elbo) / tokens)),
            "kl": float(mean(kl)),
            "active_units": active_units(codes, weights),
            "token_accuracy": float(mean((right & known).sum(axis=1)) / tokens),
            "exact_lines": float(mean(right.all(axis=1))),
        }

    # ---------------------------------------------------------------- keeping

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags
